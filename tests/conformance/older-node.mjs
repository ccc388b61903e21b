// Lets the suite run on Node 20. One of its commands, which we never use, imports `globSync` from `fs`, and Node has that
// only since release 22; without the name nothing of the suite would load.
import fs from 'node:fs';
import { register } from 'node:module';

const module = (text) => `data:text/javascript,${encodeURIComponent(text)}`;

if (!fs.globSync) {
  const with_glob = module(`
    export * from 'node:fs';
    export { default } from 'node:fs';
    export const globSync = () => { throw new Error('this Node has no fs.globSync'); };`);
  register(module(`
    export const resolve = (name, context, next) =>
      name === 'fs' ? { url: ${JSON.stringify(with_glob)}, shortCircuit: true } : next(name, context);`));
}
