//! Clients, servers and what they have, as entities of Cedar.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use cedar_policy::{Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression};

use crate::policy::question::{Action, Client, Thing};
use crate::wire::json;

type Attributes = HashMap<String, RestrictedExpression>;

/// The types of entities and the actions, parsed once.
#[derive(Debug)]
pub(super) struct Names {
    client: EntityTypeName,
    server: EntityTypeName,
    category: EntityTypeName,
    tool: EntityTypeName,
    prompt: EntityTypeName,
    resource: EntityTypeName,
    action: EntityTypeName,
}

/// What a question is about.
#[derive(Debug)]
pub(super) struct Parties {
    pub(super) principal: EntityUid,
    pub(super) action: EntityUid,
    pub(super) resource: EntityUid,
    pub(super) entities: Entities,
}

fn text(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

fn set(texts: &[String]) -> RestrictedExpression {
    RestrictedExpression::new_set(texts.iter().map(|one| text(one)))
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

impl Names {
    /// # Errors
    /// A name is none, in Cedar's words.
    pub(super) fn new() -> Result<Self, String> {
        let name = |name: &str| name.parse().map_err(|error| format!("{error}"));
        Ok(Self {
            client: name("Client")?,
            server: name("Server")?,
            category: name("Category")?,
            tool: name("Tool")?,
            prompt: name("Prompt")?,
            resource: name("Resource")?,
            action: name("Action")?,
        })
    }

    /// # Errors
    /// They make no entities, in Cedar's words.
    pub(super) fn parties(&self, client: &Client, thing: &Thing<'_>) -> Result<Parties, String> {
        let kind = match thing.action {
            Action::CallTool => &self.tool,
            Action::GetPrompt => &self.prompt,
            Action::ReadResource => &self.resource,
        };
        let principal = uid(&self.client, client.name());
        let resource = uid(kind, thing.name);
        let server = uid(&self.server, thing.server);
        let categories: HashSet<EntityUid> =
            thing.categories.iter().map(|category| uid(&self.category, category)).collect();
        let parents = categories.iter().cloned().chain([server.clone()]).collect();
        let entities = [
            Entity::new(principal.clone(), of_client(client), HashSet::new()),
            Entity::new(resource.clone(), of_thing(thing)?, parents),
            Entity::new(server, of_server(thing), categories),
        ];
        let entities =
            entities.into_iter().collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
        Ok(Parties {
            principal,
            action: uid(&self.action, thing.action.word()),
            resource,
            entities: Entities::from_entities(entities, None).map_err(|error| error.to_string())?,
        })
    }
}

fn of_client(client: &Client) -> Attributes {
    let mut attributes = Attributes::new();
    let own = &client.info.name;
    attributes.insert("name".to_owned(), text(if own.is_empty() { client.name() } else { own }));
    let transport = if client.info.over_http { "http" } else { "stdio" };
    attributes.insert("transport".to_owned(), text(transport));
    attributes.extend(client.info.version.as_deref().map(|version| ("version".to_owned(), text(version))));
    attributes.extend(client.token.as_deref().map(|token| ("token".to_owned(), text(token))));
    attributes.extend(client.profile.as_deref().map(|profile| ("profile".to_owned(), text(profile))));
    attributes
}

fn of_server(thing: &Thing<'_>) -> Attributes {
    HashMap::from([("name".to_owned(), text(thing.server)), ("categories".to_owned(), set(thing.categories))])
}

fn of_thing(thing: &Thing<'_>) -> Result<Attributes, String> {
    // Of a template nobody knows yet which URIs it stands for.
    let name = |unknown: &str, known: &str| match thing.is_template {
        true => RestrictedExpression::new_unknown(unknown),
        false => text(known),
    };
    let mut attributes = HashMap::from([
        ("name".to_owned(), name("name", thing.name)),
        ("original".to_owned(), name("original", thing.original)),
        ("server".to_owned(), text(thing.server)),
        ("categories".to_owned(), set(thing.categories)),
        ("effect".to_owned(), text(thing.effect.word())),
    ]);
    if thing.action == Action::CallTool {
        let annotations = RestrictedExpression::new_record(annotations(thing.definition));
        attributes.insert("annotations".to_owned(), annotations.map_err(|error| error.to_string())?);
    }
    Ok(attributes)
}

/// What the definition says, and nothing that is only a default of the specification.
fn annotations(definition: &[u8]) -> Vec<(String, RestrictedExpression)> {
    let Some(annotations) = json::get(definition, "annotations") else { return Vec::new() };
    let annotations = annotations.of(definition);
    let value = |name: &str| json::get(annotations, name).map(|span| span.of(annotations));
    let mut said = Vec::new();
    if let Some(title) = value("title").and_then(json::string) {
        said.push(("title".to_owned(), text(&title)));
    }
    for hint in ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"] {
        match value(hint) {
            Some(b"true") => said.push((hint.to_owned(), RestrictedExpression::new_bool(true))),
            Some(b"false") => said.push((hint.to_owned(), RestrictedExpression::new_bool(false))),
            _ => {}
        }
    }
    said
}

/// The time as policies see it.
pub(super) fn time(now: SystemTime) -> Vec<(String, RestrictedExpression)> {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (hour, weekday) = hour_and_weekday(seconds);
    let number = |number: u64| RestrictedExpression::new_long(i64::try_from(number).unwrap_or(i64::MAX));
    vec![
        ("epoch".to_owned(), number(seconds)),
        ("hour".to_owned(), number(hour)),
        ("weekday".to_owned(), number(weekday)),
    ]
}

/// The hour of the day, and the day of the week from 1 for Monday; both in UTC. The first day of 1970 was a Thursday.
fn hour_and_weekday(seconds: u64) -> (u64, u64) {
    (seconds / 3600 % 24, (seconds / 86_400 + 3) % 7 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_and_days() {
        // 1970-01-01 00:00 was a Thursday, 2024-02-29 23:59 too, 2026-11-22 12:00 a Sunday.
        for (seconds, expected) in [(0, (0, 4)), (1_709_251_140, (23, 4)), (1_795_348_800, (12, 7))] {
            assert_eq!(hour_and_weekday(seconds), expected, "{seconds}");
        }
    }
}
