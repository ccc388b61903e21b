//! Reading scripts.
