//! A scripted server plays the other side.

mod auth;
mod event_stream;
mod faults;
mod legacy;
mod modern;
mod network;
