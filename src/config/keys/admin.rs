//! The keys of `admin`.

use super::TEXTS;
use crate::config::shape::{Key, Shape, Table};

pub(super) static ADMIN: Table = Table {
    groups: &[&[
        Key::new(
            "listen",
            Shape::Text,
            "The address to listen on (`127.0.0.1:7700`, or a port), or the path of a Unix socket. Without it, nothing can be changed \
             from outside.",
        ),
        Key::new("token", Shape::Secret, "The bearer token that requests must show; needed for an address."),
        Key::new(
            "allow_stdio_register",
            Shape::Bool,
            "Whether requests may register what runs or reads on this machine: commands, Unix sockets, references to variables and files.",
        )
        .default("false"),
        Key::new("allowed_hosts", TEXTS, "Further names (`name` or `name:port`) under which it is reached.")
            .default("[]"),
        Key::new(
            "status",
            Shape::Bool,
            "Whether `switchboard status` finds this process, by a Unix socket of its user's that changes nothing.",
        )
        .default("true"),
    ]],
};
