//! The codes of the API: those of the mission, and a few for what it does not name.

use http::StatusCode;

use crate::failure::Code;

/// A stable code of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ApiCode {
    ServerNotFound,
    ServerAlreadyExists,
    ConnectionFailed,
    AuthenticationFailed,
    ToolNotFound,
    ToolExecutionFailed,
    DiscoveryFailed,
    HealthCheckFailed,
    InvalidConfig,
    /// The request cannot be read: a parameter, the body, its type or size.
    InvalidRequest,
    /// Nobody may ask this here.
    Forbidden,
    /// There is nothing at this path.
    NotFound,
    /// Something else can be done at this path.
    MethodNotAllowed,
    /// Switchboard could not do it.
    Internal,
}

impl ApiCode {
    /// Every code, in the order of the document.
    #[cfg(test)]
    pub(super) const ALL: [Self; 14] = [
        Self::ServerNotFound,
        Self::ServerAlreadyExists,
        Self::ConnectionFailed,
        Self::AuthenticationFailed,
        Self::ToolNotFound,
        Self::ToolExecutionFailed,
        Self::DiscoveryFailed,
        Self::HealthCheckFailed,
        Self::InvalidConfig,
        Self::InvalidRequest,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Internal,
    ];

    /// The code as programs see it.
    pub(super) fn id(self) -> &'static str {
        match self {
            Self::ServerNotFound => "PROXY_SERVER_NOT_FOUND",
            Self::ServerAlreadyExists => "PROXY_SERVER_ALREADY_EXISTS",
            Self::ConnectionFailed => "PROXY_CONNECTION_FAILED",
            Self::AuthenticationFailed => "PROXY_AUTHENTICATION_FAILED",
            Self::ToolNotFound => "PROXY_TOOL_NOT_FOUND",
            Self::ToolExecutionFailed => "PROXY_TOOL_EXECUTION_FAILED",
            Self::DiscoveryFailed => "PROXY_DISCOVERY_FAILED",
            Self::HealthCheckFailed => "PROXY_HEALTH_CHECK_FAILED",
            Self::InvalidConfig => "PROXY_INVALID_CONFIG",
            Self::InvalidRequest => "PROXY_INVALID_REQUEST",
            Self::Forbidden => "PROXY_FORBIDDEN",
            Self::NotFound => "PROXY_NOT_FOUND",
            Self::MethodNotAllowed => "PROXY_METHOD_NOT_ALLOWED",
            Self::Internal => "PROXY_INTERNAL_ERROR",
        }
    }
}

/// How a call of a tool that failed on its way is told: by whose fault it is.
pub(super) fn of_call(code: Code) -> (StatusCode, ApiCode) {
    use ApiCode::{AuthenticationFailed, ConnectionFailed, ToolExecutionFailed};
    match code {
        Code::AuthNeedsLogin | Code::AuthFailed | Code::AuthRefused => {
            (StatusCode::BAD_GATEWAY, AuthenticationFailed)
        }
        Code::ArgumentsInvalid => (StatusCode::UNPROCESSABLE_ENTITY, ToolExecutionFailed),
        Code::PolicyDenied | Code::PolicyBroken | Code::HookDenied | Code::TrustHeld => {
            (StatusCode::FORBIDDEN, ToolExecutionFailed)
        }
        Code::LimitRate | Code::LimitQueue | Code::LimitWait | Code::CallBusy => {
            (StatusCode::TOO_MANY_REQUESTS, ToolExecutionFailed)
        }
        Code::CallTimeout | Code::HookTimeout => (StatusCode::GATEWAY_TIMEOUT, ToolExecutionFailed),
        Code::BreakerOpen | Code::CallUnavailable | Code::CallShutdown | Code::HealthCheck => {
            (StatusCode::SERVICE_UNAVAILABLE, ConnectionFailed)
        }
        Code::NetStatus | Code::NetRedirect => (StatusCode::BAD_GATEWAY, ConnectionFailed),
        code if code.is_of_the_way() => (StatusCode::BAD_GATEWAY, ConnectionFailed),
        _ => (StatusCode::BAD_GATEWAY, ToolExecutionFailed),
    }
}
