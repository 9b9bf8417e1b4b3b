//! Finds the correct response to a request.

use super::access;
use super::answer::{Answer, error};
use super::context::{Context, RowCache};
use super::data::Data;
use super::objects::{self, Object, small};
use super::options::{Account, Edition, Envelope, Options, Rights, Version};
use super::page::{self, RowKey};
use super::query::{Query, to_number};
use super::seen::RecordedRequest;

/// State that changes while the server answers.
pub(crate) struct State {
    /// Data of the store.
    pub(crate) data: Data,
    /// Switches.
    pub(crate) options: Options,
    /// Rows that were written before.
    pub(crate) cache: RowCache,
    /// Number of requests ever answered, which decides the order of ties.
    pub(crate) answered: u64,
}

/// Objects of add-ons.
const ADD_ONS: [&str; 2] = ["call_requests", "product_reviews"];

/// A path as the API reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Path {
    /// Version of the API; empty if the path names none.
    pub(crate) version: String,
    /// Store or vendor of a nested path: the object and the id.
    pub(crate) parent: Option<(String, i64)>,
    /// Object.
    pub(crate) object: String,
    /// Id.
    pub(crate) id: String,
}

/// Parses the path of a request, without the folder of the store, and the value of `_d`.
pub(crate) fn parse(path: &str, parameter: Option<&str>) -> Option<Path> {
    let path = match path {
        "/api.php" => parameter?,
        path => path.strip_prefix("/api/")?,
    };
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let is_version = parts.first().is_some_and(|first| first.bytes().all(|b| b.is_ascii_digit() || b == b'.'));
    let mut parsed = Path::default();
    if is_version {
        parsed.version = parts.remove(0).to_owned();
    }
    if parts.len() > 2 && ["stores", "vendors"].contains(&parts[0]) {
        parsed.parent = Some((parts[0].to_owned(), to_number(parts[1])));
        parts.drain(..2);
    }
    parsed.object = parts.first().copied().unwrap_or_default().to_owned();
    parsed.id = parts.get(1..).unwrap_or_default().join("/");
    Some(parsed)
}

/// Returns the value of `_d` in the target of a request.
pub(crate) fn parameter(target: &str) -> Option<String> {
    let (_, query) = target.split_once('?')?;
    url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "_d").map(|(_, value)| value.into_owned())
}

impl State {
    /// Responds to a request.
    pub(crate) fn answer(&mut self, seen: &RecordedRequest) -> Answer {
        self.answered += 1;
        if let Some(to) = &self.options.redirect_to {
            return Answer::html(301, "Moved Permanently").with("location", &format!("{to}{}", seen.target));
        }
        if seen.target.len() > self.options.longest_target {
            return Answer::html(414, "Request-URI Too Long");
        }
        self.data.tick(self.options.seconds_per_request);
        if let Some(live) = &mut self.options.live {
            live(&mut self.data, seen);
        }
        let mut answer = self.route(seen).unwrap_or_else(|refusal| refusal);
        if let Some(warning) = &self.options.warning {
            answer.body = [warning.as_bytes(), &answer.body].concat();
        }
        answer
    }

    fn route(&mut self, seen: &RecordedRequest) -> Result<Answer, Answer> {
        let options = &self.options;
        let outside = || Answer::html(404, "Not Found");
        let path = seen.path().strip_prefix(options.folder.as_str()).ok_or_else(outside)?;
        if !options.rewrite && path != "/api.php" {
            return Err(outside());
        }
        let path = parse(path, parameter(&seen.target).as_deref()).ok_or_else(outside)?;
        if options.https_only {
            return Err(error(403, "The API is only accessible via HTTPS"));
        }
        if !access::accepts_json(seen) {
            return Err(error(406, ""));
        }
        if !path.version.is_empty() && !options.version.api_versions().contains(&path.version.as_str()) {
            return Err(error(404, ""));
        }
        let account = access::signed_in(seen, options)?.clone();
        if seen.method != "GET" {
            return Err(error(405, ""));
        }
        self.read(&path, seen, &account)
    }

    fn read(&mut self, path: &Path, seen: &RecordedRequest, account: &Account) -> Result<Answer, Answer> {
        let options = &self.options;
        let version = if path.version.is_empty() { options.version.default_api_version() } else { &path.version };
        match path.object.as_str() {
            "version" => return Ok(Answer::json(200, format!("{{\"Version\":\"{version}\"}}"))),
            "versions" if options.version >= Version::V4_20 => {
                return Ok(Answer::json(200, format!("{{\"versions\":{:?}}}", options.version.api_versions())));
            }
            _ => {}
        }
        let object = self.object(&path.object)?;
        let mut company = match &path.parent {
            Some((parent, id)) => {
                access::allowed(account, self.object(parent)?)?;
                let exists = self.data.small.get("companies").is_some_and(|all| all.get(*id).is_some());
                Some(*id).filter(|_| exists).map_or_else(|| Err(error(404, "")), |id| Ok(Some(id)))?
            }
            None => None,
        };
        access::allowed(account, object)?;
        if let Rights::Vendor(own) = account.rights {
            company = Some(own);
        }
        let query = Query::new(&seen.query);
        let (n, api) = (self.answered, version.to_owned());
        if !path.id.is_empty() {
            let context = self.context(object, &query, n, company, &api, account);
            return one(&context, object, &path.id);
        }
        if object.name == "users" && query.filled("user_type").is_none() && options.version >= Version::V4_20 {
            return Err(error(400, "user_type is required"));
        }
        let (is_complete, (page, echo, keys)) = {
            let context = self.context(object, &query, n, company, &api, account);
            let is_complete = object.name == "orders" && super::objects::orders::is_complete(&context);
            (is_complete, choose(&context, object))
        };
        if let Some(between) = self.options.between.as_mut().filter(|_| is_complete) {
            self.data.chosen = keys.iter().map(|key| key.0).collect();
            between(&mut self.data, seen);
        }
        let context = self.context(object, &query, n, company, &api, account);
        let weak = context.options.weak.filter(|weak| keys.len() > weak.rows && (is_complete || !weak.only_complete));
        if let Some(weak) = weak {
            return Err(Answer::html(weak.status, super::answer::status_text(weak.status)));
        }
        Ok(fill(&context, object, &keys, page, &echo))
    }

    /// Returns an object of this edition with its add-ons.
    fn object(&self, name: &str) -> Result<&'static Object, Answer> {
        let other = if self.options.edition == Edition::Ultimate { "vendors" } else { "stores" };
        let is_absent = self.options.absent.contains(name) && ADD_ONS.contains(&name);
        objects::object(name).filter(|_| name != other && !is_absent).ok_or_else(|| error(404, ""))
    }

    fn context<'a>(
        &'a self,
        object: &Object,
        query: &'a Query,
        n: u64,
        company: Option<i64>,
        api: &'a str,
        account: &'a Account,
    ) -> Context<'a> {
        Context {
            options: &self.options,
            data: &self.data,
            object: object.name,
            query,
            n,
            company,
            api,
            account,
            cache: &self.cache,
        }
    }
}

/// Answers one object by its id.
fn one(context: &Context<'_>, object: &Object, id: &str) -> Result<Answer, Answer> {
    let id = to_number(id);
    let mut out = context.writer();
    if !(object.write_one)(context, id, &mut out) {
        return Err(error(404, ""));
    }
    if is_broken(context, object, (id, 0), true) {
        return Ok(Answer::json(200, String::new()));
    }
    Ok(Answer::json(200, out.text).of_rows(1))
}

fn is_broken(context: &Context<'_>, object: &Object, key: RowKey, is_complete: bool) -> bool {
    context.data.broken.contains(&(object.name, key.0))
        || (is_complete && object.name == "orders" && context.data.broken_inside.contains(&key.0))
}

/// Form of a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// In an envelope.
    Full,
    /// Rows alone.
    Bare,
}

/// Chooses the rows of a list. Returns its form, the echo of its parameters, and the keys.
fn choose(context: &Context<'_>, object: &Object) -> (Form, String, Vec<RowKey>) {
    let sorting = page::sorting(context, object);
    let items = (object.select)(context, &sorting);
    if object.name == "usergroups" {
        let keys = items.iter().map(|item| item.key).collect();
        return (Form::Bare, String::new(), keys);
    }
    let page = page::cut(context, object, &sorting, items);
    let mut echo = context.writer();
    page::write_echo(context, object, &sorting, &page, &mut echo);
    let is_bare = context.api == "1.0" && object.is_bare_in_first_version;
    let mut keys = page.keys;
    if object.name == "carts" {
        keys = one_per_user(&keys);
    }
    (if is_bare { Form::Bare } else { Form::Full }, echo.text, keys)
}

/// Keeps one cart of each user, in the place of the first and with the content of the last: the server collects the
/// carts by user.
fn one_per_user(keys: &[RowKey]) -> Vec<RowKey> {
    let mut kept: Vec<RowKey> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for key in keys {
        match places.get(&key.0) {
            Some(place) => kept[*place] = *key,
            None => {
                places.insert(key.0, kept.len());
                kept.push(*key);
            }
        }
    }
    kept
}

fn fill(context: &Context<'_>, object: &Object, keys: &[RowKey], form: Form, echo: &str) -> Answer {
    let is_complete = object.name == "orders" && super::objects::orders::is_complete(context);
    if keys.iter().any(|key| is_broken(context, object, *key, is_complete)) {
        return Answer::json(200, String::new()).of_rows(keys.len());
    }
    let is_keyed = !keys.is_empty() && context.options.keyed.contains(object.name);
    let brackets = if is_keyed { ('{', '}') } else { ('[', ']') };
    let mut out = context.writer();
    match form {
        Form::Full => out.open('{').open_in(object.list_key, brackets.0),
        Form::Bare => out.open(brackets.0),
    };
    let mut rows = 0;
    for key in keys {
        if is_keyed {
            out.key(&small::list_index(context, key.0));
        }
        rows += usize::from((object.write)(context, *key, &mut out));
    }
    out.close(brackets.1);
    if form == Form::Full {
        if context.options.envelope != Envelope::Absent {
            out.text.push(',');
            out.text.push_str(echo);
        }
        out.close('}');
    }
    Answer::json(200, out.text).of_rows(rows)
}
