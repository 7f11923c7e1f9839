//! The protocol side of a fake host: logins, sessions and their limit, connections that are passed on.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use russh::keys::PrivateKey;
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Response, Session};
use russh::{Channel, ChannelId, ChannelOpenFailure, MethodKind, MethodSet};

use super::{Nature, Questions, State, play};

pub(super) fn config(nature: &Nature, keys: Vec<PrivateKey>) -> Config {
    let mut methods = MethodSet::empty();
    methods.push(match (&nature.password, nature.questions) {
        (None, _) => MethodKind::None,
        (_, Questions::Never) => MethodKind::Password,
        _ => MethodKind::KeyboardInteractive,
    });
    Config { methods, keys, auth_rejection_time: Duration::ZERO, nodelay: true, ..Config::default() }
}

/// One connection to a fake host.
pub(super) struct Connection {
    state: Arc<State>,
    waiting: BTreeMap<u32, Channel<Msg>>,
    sessions: Arc<AtomicUsize>,
}

impl Connection {
    pub(super) fn new(state: Arc<State>) -> Self {
        Self { state, waiting: BTreeMap::new(), sessions: Arc::default() }
    }

    fn judge(&self, password: &str) -> Auth {
        self.state.logins.fetch_add(1, Ordering::Relaxed);
        if self.state.nature.password.as_deref() == Some(password) { Auth::Accept } else { Auth::reject() }
    }
}

/// A session that counts until it is over.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_none(&mut self, _: &str) -> Result<Auth, Self::Error> {
        Ok(if self.state.nature.password.is_none() { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_password(&mut self, _: &str, password: &str) -> Result<Auth, Self::Error> {
        Ok(self.judge(password))
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _: &str,
        _: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        let ask = Auth::Partial {
            name: Cow::Borrowed(""),
            instructions: Cow::Borrowed(""),
            prompts: Cow::Borrowed(&[(Cow::Borrowed("Password: "), false)]),
        };
        let Some(mut response) = response else { return Ok(ask) };
        let answer = response.next().unwrap_or_default();
        let verdict = self.judge(&String::from_utf8_lossy(&answer));
        Ok(if self.state.nature.questions == Questions::Endless { ask } else { verdict })
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.sessions.fetch_add(1, Ordering::AcqRel) >= self.state.nature.max_sessions {
            self.sessions.fetch_sub(1, Ordering::AcqRel);
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
            return Ok(());
        }
        self.waiting.insert(channel.id().into(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(&mut self, id: ChannelId, line: &[u8], session: &mut Session) -> Result<(), Self::Error> {
        let Some(channel) = self.waiting.remove(&id.into()) else { return session.channel_failure(id) };
        session.channel_success(id)?;
        let (state, counted) = (self.state.clone(), Counted(self.sessions.clone()));
        let line = String::from_utf8_lossy(line).into_owned();
        tokio::spawn(async move {
            play::play(&state, channel, &line).await;
            drop(counted);
        });
        Ok(())
    }

    async fn subsystem_request(&mut self, id: ChannelId, _: &str, session: &mut Session) -> Result<(), Self::Error> {
        session.channel_failure(id)
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        address: &str,
        port: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        if !self.state.nature.forwards {
            reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
            return Ok(());
        }
        let port = u16::try_from(port).unwrap_or(0);
        let Ok(mut target) = tokio::net::TcpStream::connect((address, port)).await else {
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
            return Ok(());
        };
        reply.accept().await;
        tokio::spawn(async move {
            let _ = tokio::io::copy_bidirectional(&mut channel.into_stream(), &mut target).await;
        });
        Ok(())
    }
}
