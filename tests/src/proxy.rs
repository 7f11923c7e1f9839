//! A TCP proxy that breaks connections: what a bad line does to an upload.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Passes connections on to `port` of 127.0.0.1, and breaks each of the first `breaks` that carry more than
/// `limit` bytes there. Returns its own `host:port`, and how many were broken.
///
/// # Panics
/// When it cannot listen.
pub async fn breaking(port: u16, limit: usize, breaks: usize) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let host = listener.local_addr().expect("its address").to_string();
    let broken = Arc::new(AtomicUsize::new(0));
    let count = broken.clone();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            tokio::spawn(pass(near, port, limit, breaks, count.clone()));
        }
    });
    (host, broken)
}

async fn pass(near: TcpStream, port: u16, limit: usize, breaks: usize, broken: Arc<AtomicUsize>) {
    let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let (mut near_in, mut near_out) = near.into_split();
    let (mut far_in, mut far_out) = far.into_split();
    let back = tokio::spawn(async move { tokio::io::copy(&mut far_in, &mut near_out).await });
    let mut buffer = vec![0; 64 * 1024];
    let mut passed = 0;
    while let Ok(n @ 1..) = near_in.read(&mut buffer).await {
        if far_out.write_all(&buffer[..n]).await.is_err() {
            break;
        }
        passed += n;
        if passed > limit && broken.load(Ordering::Relaxed) < breaks {
            broken.fetch_add(1, Ordering::Relaxed);
            break;
        }
    }
    back.abort();
}
