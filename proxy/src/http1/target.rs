//! RFC 9112 §3.2: the four forms of a request target, of which two travel on.
//!
//! - §3.2.1 origin form: a path, and a query behind the first `?`.
//! - §3.2.2 absolute form: for `http` and `https`; becomes origin form, and its authority takes Host's place.
//! - §3.2.3 authority form: CONNECT's alone, and CONNECT is refused.
//! - §3.2.4 asterisk form: OPTIONS' alone; `OPTIONS http://host` without path or query means the same.
//!
//! Space, control characters, `#` and bytes above ASCII end a target in every grammar (RFC 3986) and are refused
//! wherever they stand: each has let a path pass one program's rules and be read as another path by the next.
//! Percent-encoding, dot segments and doubled slashes are left as they are: normalising comes later, once, for
//! deciding and forwarding alike.

use super::Reason;
use super::authority::is_authority;
use super::text::Span;

/// How a request named what it wants.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TargetForm {
    /// `/path?query`
    #[default]
    Origin,
    /// `http://authority/path?query`
    Absolute,
    /// `*`
    Asterisk,
}

/// A target taken apart.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Target {
    pub(super) form: TargetForm,
    /// Empty stands for `/` in absolute form and for `*` in asterisk form.
    pub(super) path: Span,
    pub(super) query: Option<Span>,
    /// Absolute form only.
    pub(super) authority: Option<Span>,
}

/// Takes apart the target that lies at `at` in the buffer.
#[inline]
pub(super) fn parse(method: &str, target: &[u8], at: usize) -> Result<Target, Reason> {
    let options = method == "OPTIONS";
    if method == "CONNECT" {
        return Err(Reason::Connect);
    }
    match target {
        b"*" if options => return Ok(Target { form: TargetForm::Asterisk, ..Target::default() }),
        [b'/', ..] => return split_path(target, at),
        _ => {}
    }
    let start = scheme_length(target).ok_or(Reason::Target)?;
    let rest = &target[start..];
    let length = rest.iter().position(|&b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(length);
    if !is_authority(authority) {
        return Err(Reason::Target);
    }
    let path_at = at + start + length;
    let form = if options && path.is_empty() { TargetForm::Asterisk } else { TargetForm::Absolute };
    Ok(Target { form, authority: Some(Span::new(at + start, path_at)), ..split_path(path, path_at)? })
}

/// Origin form, or what follows an authority.
#[inline]
fn split_path(text: &[u8], at: usize) -> Result<Target, Reason> {
    let forbidden = |b: u8| b <= b' ' || b >= 0x7f || b == b'#';
    if text.iter().fold(false, |bad, &b| bad | forbidden(b)) {
        return Err(Reason::Target);
    }
    let end = at + text.len();
    let (path, query) = match text.iter().position(|&b| b == b'?') {
        Some(mark) => (Span::new(at, at + mark), Some(Span::new(at + mark + 1, end))),
        None => (Span::new(at, end), None),
    };
    Ok(Target { path, query, ..Target::default() })
}

/// The length of `http://` or `https://` in any case.
fn scheme_length(target: &[u8]) -> Option<usize> {
    let starts =
        |scheme: &str| target.get(..scheme.len()).is_some_and(|s| s.eq_ignore_ascii_case(scheme.as_bytes()));
    ["http://", "https://"].into_iter().find(|scheme| starts(scheme)).map(str::len)
}
