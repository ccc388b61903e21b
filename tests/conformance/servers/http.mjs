// What both fixture servers need to listen: on a free port of the loopback address, for local programs alone.

const LOCAL = new Set(['127.0.0.1', 'localhost', '[::1]']);
const host = (value) => { try { return new URL(value).hostname; } catch { return undefined; } };

/** Serves `/mcp` to requests that neither a web page nor a rebound name has made. */
export function guarded(serve) {
  return (request, response) => {
    const { origin } = request.headers;
    if (!LOCAL.has(host(`http://${request.headers.host}`)) || (origin !== undefined && !LOCAL.has(host(origin)))) {
      return response.writeHead(403).end();
    }
    if (request.url !== '/mcp') return response.writeHead(404).end();
    return Promise.resolve(serve(request, response)).catch((error) => {
      console.error(error);
      if (!response.headersSent) response.writeHead(500).end();
    });
  };
}

/** Listens and prints where, as one line. */
export async function listen(server) {
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  console.log(`http://127.0.0.1:${server.address().port}/mcp`);
  // The test ends us by closing our stdin.
  process.stdin.resume().on('end', () => process.exit(0));
}
