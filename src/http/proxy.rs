//! Reads the proxy from the environment: `HTTPS_PROXY` or `ALL_PROXY`, unless `NO_PROXY` lists the store. An invalid
//! value is an error, because a direct connection would ignore the user's setting. Nothing here connects.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Uri;
use hyper::header::HeaderValue;
use url::{Host, Url};

/// Environment variables that set a proxy. The first that is set is used.
const NAMED_BY: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
/// Environment variables that list hosts to reach without a proxy.
const EXCEPT: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// A proxy for all connections to the store.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
    /// `http://host:port` or `https://host:port`.
    pub(super) uri: Uri,
    /// Value of the `Proxy-Authorization` header, if the address contains credentials.
    pub(super) auth: Option<HeaderValue>,
    /// Host and port, for messages.
    pub(super) address: String,
    /// The environment variable that sets the proxy.
    pub(super) variable: &'static str,
}

impl Proxy {
    /// Returns the proxy for connections to `store`, or `None` for a direct connection.
    pub(super) fn from_env(store: &Url) -> Result<Option<Self>, BadProxy> {
        Self::from(store, |name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    fn from(store: &Url, environment: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, BadProxy> {
        let set = |names: &[&'static str]| {
            names.iter().find_map(|name| {
                let value = environment(name)?;
                let value = bare(&value).to_owned();
                (!value.is_empty()).then_some((*name, value))
            })
        };
        let Some((variable, value)) = set(&NAMED_BY) else { return Ok(None) };
        let proxy = parsed(&value, variable).map_err(|problem| BadProxy { variable, problem })?;
        let is_excepted = set(&EXCEPT).is_some_and(|(_, list)| names(&list, store));
        Ok((!is_excepted).then_some(proxy))
    }
}

/// The error of an invalid proxy in the environment. Its message does not contain the variable's value, which may
/// contain a password.
#[derive(Debug, thiserror::Error)]
#[error(
    "the environment variable {variable} {problem}. Write it like `http://proxy.example.com:3128`, or unset it to connect without a proxy"
)]
pub struct BadProxy {
    variable: &'static str,
    problem: ProxyProblem,
}

/// The reason why a proxy setting is invalid.
#[derive(Debug, thiserror::Error)]
enum ProxyProblem {
    #[error("contains a space or a line break")]
    Space,
    /// Contains the scheme, unless it may be part of a password.
    #[error("names an unsupported kind of proxy{}; use `http://` or `https://`", .0.as_ref().map_or_else(String::new, |scheme| format!(" (`{scheme}://`)")))]
    Scheme(Option<String>),
    #[error("is not the address of a proxy")]
    Address,
    #[error("contains credentials that cannot be sent")]
    SignIn,
}

/// Returns the text without surrounding spaces, line breaks and quotes, which shells, files and forms may leave.
fn bare(text: &str) -> &str {
    text.trim_matches(|character: char| character.is_whitespace() || matches!(character, '"' | '\'' | '`'))
}

fn parsed(value: &str, variable: &'static str) -> Result<Proxy, ProxyProblem> {
    if value.contains(|character: char| character.is_whitespace() || character.is_control()) {
        return Err(ProxyProblem::Space);
    }
    let (scheme, rest) = value.split_once("://").unwrap_or(("http", value));
    let scheme = scheme.to_ascii_lowercase();
    if !["http", "https"].contains(&scheme.as_str()) {
        let is_known = ["socks", "socks4", "socks4a", "socks5", "socks5h", "ftp", "quic"].contains(&scheme.as_str());
        // Anything else may be part of a password.
        return Err(ProxyProblem::Scheme(is_known.then_some(scheme)));
    }
    // A password may contain an `@`; a host cannot.
    let (sign_in, rest) = rest.rsplit_once('@').map_or((None, rest), |(sign_in, rest)| (Some(sign_in), rest));
    let address = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let bad = || ProxyProblem::Address;
    let url = Url::parse(&format!("{scheme}://{address}/")).map_err(|_| bad())?;
    // A number alone is not a valid host here, although a URL parser accepts it as an IPv4 address.
    if address.split(':').next().is_some_and(|host| host.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(bad());
    }
    let host = url.host().filter(|_| url.username().is_empty() && url.password().is_none()).ok_or_else(bad)?;
    let address = format!("{host}:{}", url.port_or_known_default().ok_or_else(bad)?);
    let uri = Uri::try_from(format!("{scheme}://{address}")).map_err(|_| bad())?;
    let auth = sign_in.filter(|sign_in| !sign_in.is_empty()).map(basic).transpose()?;
    Ok(Proxy { uri, auth, address, variable })
}

/// Returns the header value for credentials such as `user:password`.
fn basic(sign_in: &str) -> Result<HeaderValue, ProxyProblem> {
    let (user, password) = sign_in.split_once(':').unwrap_or((sign_in, ""));
    let plain = [decoded(user), b":".to_vec(), decoded(password)].concat();
    let header = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(plain)));
    let mut header = header.map_err(|_| ProxyProblem::SignIn)?;
    header.set_sensitive(true);
    Ok(header)
}

/// Decodes percent-encoding: replaces each `%` and two hexadecimal digits with the byte that they encode.
fn decoded(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, behind)) = rest.split_first() {
        let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.filter(|_| first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &behind[2..] } else { behind };
    }
    bytes
}

/// Returns true if a list such as `localhost, .example.com, 10.0.0.0/8, shop.example.com:8443` names the store.
fn names(list: &str, store: &Url) -> bool {
    let Some(host) = store.host() else { return false };
    let port = store.port_or_known_default();
    list.split([',', ' ', '\t', '\n', '\r', ';']).map(bare).filter(|entry| !entry.is_empty()).any(|entry| {
        let (name, only) = with_port(entry);
        only.is_none_or(|only| Some(only) == port) && is_named(name, &host)
    })
}

/// Splits an entry into a host name and its port, if it has one.
fn with_port(entry: &str) -> (&str, Option<u16>) {
    match entry.rsplit_once(':') {
        // With more than one colon, the last one is part of an IPv6 address, unless the address is in brackets.
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    }
}

fn is_named(name: &str, host: &Host<&str>) -> bool {
    let name = name.trim_start_matches('[').trim_end_matches(']');
    if name == "*" {
        return true;
    }
    let address = match host {
        Host::Ipv4(address) => IpAddr::V4(*address),
        Host::Ipv6(address) => IpAddr::V6(*address),
        Host::Domain(domain) => {
            // `example.com`, `.example.com` and `*.example.com` all mean the host and its subdomains.
            let name = name.trim_start_matches('*').trim_start_matches('.').trim_end_matches('.').to_ascii_lowercase();
            let domain = domain.trim_end_matches('.');
            return !name.is_empty()
                && domain.strip_suffix(&name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        }
    };
    let (net, bits) = name.split_once('/').map_or((name, None), |(net, bits)| (net, bits.parse::<u32>().ok()));
    match (address, net.parse()) {
        (IpAddr::V4(address), Ok(IpAddr::V4(net))) => {
            let shift = 32u32.saturating_sub(bits.unwrap_or(32));
            let prefix = |address: std::net::Ipv4Addr| u32::from(address).checked_shr(shift);
            prefix(address) == prefix(net)
        }
        (IpAddr::V6(address), Ok(IpAddr::V6(net))) => {
            let shift = 128u32.saturating_sub(bits.unwrap_or(128));
            let prefix = |address: std::net::Ipv6Addr| u128::from(address).checked_shr(shift);
            prefix(address) == prefix(net)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(store: &str, variables: &[(&str, &str)]) -> Result<Option<Proxy>, BadProxy> {
        let value =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Proxy::from(&Url::parse(store).unwrap(), value)
    }

    fn of(value: &str) -> Result<(String, Option<String>), BadProxy> {
        proxy("https://shop.example.com/api/v1/", &[("HTTPS_PROXY", value)]).map(|proxy| {
            let proxy = proxy.unwrap();
            let auth = proxy.auth.map(|auth| auth.to_str().unwrap().trim_start_matches("Basic ").to_owned());
            (proxy.uri.to_string(), auth.map(|auth| String::from_utf8(STANDARD.decode(auth).unwrap()).unwrap()))
        })
    }

    #[test]
    fn what_shells_and_files_leave_around_an_address_is_no_part_of_it() {
        for value in [
            "http://proxy:3128",
            " http://proxy:3128/\n",
            "\"http://proxy:3128\"",
            "' http://proxy:3128 '",
            "proxy:3128",
            "HTTP://PROXY:3128/path?x#y",
        ] {
            assert_eq!(of(value).unwrap(), ("http://proxy:3128/".to_owned(), None), "{value:?}");
        }
        assert_eq!(of("https://proxy").unwrap().0, "https://proxy:443/");
        assert_eq!(of("10.1.2.3").unwrap().0, "http://10.1.2.3:80/");
        assert_eq!(of("http://[::1]:3128").unwrap().0, "http://[::1]:3128/");
        for (value, sign_in) in [
            ("http://user:p@ss@proxy:1", "user:p@ss"),
            ("http://user:p%40ss@proxy:1", "user:p@ss"),
            ("user:a:b/c#d?e@proxy:1", "user:a:b/c#d?e"),
            ("http://us%20er:100%@proxy:1", "us er:100%"),
            ("http://user@proxy:1", "user:"),
        ] {
            assert_eq!(of(value).unwrap(), ("http://proxy:1/".to_owned(), Some(sign_in.to_owned())), "{value}");
        }
    }

    #[test]
    fn what_is_no_address_is_an_error_that_names_the_variable_and_shows_nothing() {
        for value in [
            "socks5://user:hidden@proxy:1080",
            "hidden://proxy",
            "http://",
            "http://hidden proxy:3128",
            "http://user:hid\nden@proxy",
            "3128",
            "hidden:port",
            "http://:3128",
            "://hidden",
            "http://user:hidden@",
        ] {
            let problem = of(value).unwrap_err().to_string();
            assert!(problem.starts_with("the environment variable HTTPS_PROXY "), "{problem}");
            assert!(!problem.contains("hid"), "{problem}");
        }
        assert!(of("socks5://p").unwrap_err().to_string().contains("`socks5://`"));
    }

    #[test]
    fn the_first_variable_that_is_set_counts() {
        let store = "https://shop.example.com/";
        let of =
            |variables: &[(&str, &str)]| proxy(store, variables).unwrap().map(|proxy| (proxy.variable, proxy.address));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("HTTP_PROXY", "a:1")]), None);
        assert_eq!(of(&[("HTTPS_PROXY", " \"\" "), ("all_proxy", "a:1")]), Some(("all_proxy", "a:1".to_owned())));
        assert_eq!(of(&[("ALL_PROXY", "a:1"), ("https_proxy", "b:2")]), Some(("https_proxy", "b:2".to_owned())));
    }

    #[test]
    fn hosts_that_are_named_are_reached_without_it() {
        let is_direct = |store: &str, list: &str| {
            proxy(store, &[("HTTPS_PROXY", "proxy:1"), ("NO_PROXY", list)]).unwrap().is_none()
        };
        for list in [
            "shop.example.com",
            "Example.COM",
            ".example.com",
            "*.example.com",
            "localhost, shop.example.com:443",
            "\"localhost shop.example.com\"",
            "*",
            "*.example.com:443",
        ] {
            assert!(is_direct("https://shop.example.com/", list), "{list}");
        }
        for list in ["", "op.example.com", "shop.example.com:8443", "example.org", ".", "*.shop.example", "10.0.0.0/8"]
        {
            assert!(!is_direct("https://shop.example.com/", list), "{list}");
        }
        assert!(is_direct("https://shop.example.com:8443/", "shop.example.com:8443"));
        assert!(!is_direct("https://shop.example.com:8443/", "shop.example.com:443"));
        for (address, list) in [
            ("https://10.1.2.3/", "10.0.0.0/8"),
            ("https://10.1.2.3/", "10.1.2.3"),
            ("https://10.1.2.3/", "10.1.2.3:443"),
            ("https://10.1.2.3/", "0.0.0.0/0"),
            ("https://[fd00::1]/", "fd00::/8"),
            ("https://[fd00::1]:9/", "[fd00::1]:9"),
            ("https://[fd00::1]/", "fd00::1"),
        ] {
            assert!(is_direct(address, list), "{address} {list}");
        }
        for (address, list) in [
            ("https://10.1.2.3/", "10.1.2.4"),
            ("https://11.1.2.3/", "10.0.0.0/8"),
            ("https://[fd00::1]:8/", "[fd00::1]:9"),
        ] {
            assert!(!is_direct(address, list), "{address} {list}");
        }
    }
}
