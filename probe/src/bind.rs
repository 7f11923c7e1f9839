//! `bind`: whether ports can be had, by having them for a moment. A port that no list shows may still be taken.

use std::net::{TcpListener, UdpSocket};

use crate::Verdict;
use crate::arguments::Arguments;
use crate::endpoint::{Endpoint, Protocol};
use crate::json::Line;

pub(crate) fn run(arguments: Arguments) -> Verdict {
    let mut all = true;
    for text in arguments.rest("a port")? {
        let endpoint = Endpoint::parse(&text)?;
        let bound = endpoint.address().and_then(|address| match endpoint.protocol {
            Protocol::Tcp => TcpListener::bind(address).map(drop),
            Protocol::Udp => UdpSocket::bind(address).map(drop),
        });
        all &= bound.is_ok();
        let line = Line::new().text("protocol", endpoint.protocol.to_string()).text("host", &endpoint.host);
        line.number("port", endpoint.port).outcome(&bound).print();
    }
    Ok(all)
}
