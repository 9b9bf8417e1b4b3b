//! Lists: which rows they have, in which order, and on which page.
//!
//! Subject: "Query syntax" and "Common usage": `count` (100 unless given), `page` (from 1; one out of bounds is 404),
//! `fields`, `expand`, and the envelope with `total_count`, the links and one array.

use super::answer::{Answer, Envelope as Out, SERVER_FAULT, error};
use super::data::{Data, Row};
use super::nested;
use super::options::{Envelope, NextPage, Options};
use super::query::{Filter, Sort, Unreadable};
use super::quirks::{EmptyList, Spoil, with_raw_bytes};
use super::resources::Resource;
use super::rows::mix;
use super::seen::RecordedRequest;
use super::shuffle;

/// Returns the name of the array with the current options.
pub(super) fn array_key(of: &Resource, options: &Options) -> &'static str {
    match options.envelope {
        Envelope::Short => of.key,
        Envelope::Path => of.path,
        Envelope::Named(name) => name,
    }
}

/// Returns the fields that `fields` keeps; `None` is all.
pub(super) fn kept<'s>(seen: &'s RecordedRequest, options: &Options) -> Option<Vec<&'s str>> {
    let named = if options.ignore_fields { None } else { seen.param("fields") };
    named.map(|text| text.split(',').map(str::trim).filter(|n| !n.is_empty()).collect())
}

/// Returns the nested collections to fill.
pub(super) fn expanded<'r>(of: &'r Resource, seen: &RecordedRequest) -> Vec<&'r nested::Nested> {
    let wanted = |name: &str| {
        let in_list = |p: &str| seen.param(p).is_some_and(|t| t.split(',').any(|n| n.trim() == name));
        in_list("expand") || in_list("fields")
    };
    of.nested.iter().filter(|n| wanted(n.name)).collect()
}

/// Responds to `GET /{resource}`, with or without faults.
pub(super) fn answer(
    of: &'static Resource,
    seen: &RecordedRequest,
    options: &Options,
    data: &Data,
    (base, spoil): (&str, Option<Spoil>),
) -> Answer {
    match spoil {
        Some(Spoil::OtherName) => return Answer::json(200, "{\"something_else\":[]}".to_owned()),
        Some(Spoil::NotFound) => return error(404, "Not Found", "No resource found"),
        Some(Spoil::Emptied | Spoil::Halved) | None => {}
    }
    match list(of, seen, options, data, (base, spoil)) {
        Ok(answer) => answer,
        Err(Unreadable(details)) if options.bad_filter_status >= 500 => {
            error(options.bad_filter_status, "Internal Server Error", &details)
        }
        Err(Unreadable(details)) => error(options.bad_filter_status, "Bad Request", &details),
    }
}

fn list(
    of: &'static Resource,
    seen: &RecordedRequest,
    options: &Options,
    data: &Data,
    (base, spoil): (&str, Option<Spoil>),
) -> Result<Answer, Unreadable> {
    let clock = options.clock(data.now_ms);
    let asked = number(seen, "count", options.default_count)?;
    if asked == 0 {
        return Err(Unreadable("The value '0' is not valid for count.".to_owned()));
    }
    if options.refuse_count_above.is_some_and(|max| asked > max) {
        return Ok(error(400, "Bad Request", "The value of count is too large."));
    }
    let count = options.max_count.map_or(asked, |max| asked.min(max));
    let page = if options.ignore_page { 1 } else { number(seen, "page", 1)? };
    let filter = Filter::parse(of, &seen.query, options, &clock)?;
    let ties = options.unstable_ties.map(|seed| mix(seed ^ mix(seen.n as u64)));
    let sort = Sort::parse(of, seen.param("sort").filter(|_| !options.ignore_sort), ties, options);

    let rows = data.table(of.path).values().filter(|row| filter.matches(data, of, row, &clock));
    let (mut total, slice) = if sort.is_plain(of) {
        page_of(rows.map(|row| (sort.plain_key(row, &clock), row)).collect(), page, count)
    } else {
        page_of(rows.map(|row| (sort.key(data, of, row, &clock), row)).collect(), page, count)
    };
    let Some(mut slice) = slice else {
        return Ok(error(404, "Not Found", "No resource found"));
    };
    let quirks = &options.quirks;
    let none_is_404 = match quirks.empty_list {
        EmptyList::Documented => false,
        EmptyList::FilteredIs404 => filter.is_given(),
        EmptyList::Is404 => true,
    };
    if total == 0 && none_is_404 {
        return Ok(error(404, "Not Found", "No resource found"));
    }
    if slice.iter().any(|row| quirks.is_unreadable(of, row.id)) {
        return Ok(error(500, "Internal Server Error", SERVER_FAULT));
    }
    if spoil == Some(Spoil::Halved) {
        slice.truncate(slice.len() / 2);
        total = (page - 1) * count + slice.len();
    }
    let end = (page - 1) * count + slice.len();
    let listed = slice.len();
    if spoil == Some(Spoil::Emptied) {
        slice.clear();
    }

    let hidden: Vec<i64> = options.hidden.iter().filter(|(r, _)| r == of.path).map(|(_, id)| *id).collect();
    let rows: Vec<&Row> = slice.into_iter().filter(|row| !hidden.contains(&row.id)).collect();
    let mut out = Out::new();
    if options.total_count {
        out.number("total_count", quirks.total.printed(total, listed));
    }
    let last = end >= total;
    if options.next_page == NextPage::SameForEver {
        out.text("next_page", &link(seen, options, base, page));
    } else {
        out.link("next_page", (!last).then(|| link(seen, options, base, page + 1)), options);
        out.link("previous_page", (page > 1).then(|| link(seen, options, base, page - 1)), options);
    }
    let keep = kept(seen, options);
    let nested = if options.ignore_expand { Vec::new() } else { expanded(of, seen) };
    let lookups = of.path == "subscriptions" && seen.param("includelookups") == Some("1");
    let writer = nested::Writer::new(data, of, &clock, keep.as_deref(), nested, lookups, &rows);
    let shuffled = options.shuffled_keys.map(|seed| mix(seed ^ mix(seen.n as u64)));
    let decimal = options.decimal_keys && !of.text_key && seen.n.is_multiple_of(2);
    let mut answer = out.array(array_key(of, options), &rows, |row, text| {
        let start = text.len();
        writer.write(row, text);
        if decimal {
            let key = format!("\"{}\":{}", of.pk, row.id);
            let written = text.split_off(start);
            text.push_str(&written.replacen(&format!("{key},"), &format!("{key}.0,"), 1));
        }
        quirks.rewrite(of, row.id, start, text);
        if let Some(seed) = shuffled {
            let row = text.split_off(start);
            shuffle::keys(&row, seed, text);
        }
    });
    if !quirks.not_utf8.is_empty() {
        answer.body = with_raw_bytes(&answer.body);
    }
    Ok(answer)
}

/// Returns the number of rows, and those of the page in order: `None` if it is out of bounds. Sorts no more than that.
fn page_of<K: Ord>(mut found: Vec<(K, &Row)>, page: usize, count: usize) -> (usize, Option<Vec<&Row>>) {
    let total = found.len();
    if page == 0 || (page > 1 && (page - 1).saturating_mul(count) >= total) {
        return (total, None);
    }
    let order = |a: &(K, &Row), b: &(K, &Row)| a.0.cmp(&b.0).then(a.1.id.cmp(&b.1.id));
    let start = (page - 1) * count;
    let end = total.min(start.saturating_add(count));
    if end < total {
        found.select_nth_unstable_by(end, order);
        found.truncate(end);
    }
    if start > 0 {
        found.select_nth_unstable_by(start, order);
    }
    let mut rest = found.split_off(start);
    rest.sort_unstable_by(order);
    (total, Some(rest.into_iter().map(|(_, row)| row).collect()))
}

fn number(seen: &RecordedRequest, name: &str, default: usize) -> Result<usize, Unreadable> {
    match seen.param(name) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| Unreadable(format!("The value '{text}' is not valid for {name}."))),
    }
}

fn link(seen: &RecordedRequest, options: &Options, base: &str, page: usize) -> String {
    let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
    let page = format!("page={page}");
    let mut parts: Vec<String> = Vec::new();
    let mut replaced = false;
    for part in query.split('&').filter(|p| !p.is_empty()) {
        if part.starts_with("page=") {
            parts.push(page.clone());
            replaced = true;
        } else if options.next_page == NextPage::RawValues {
            parts.push(url::form_urlencoded::parse(part.as_bytes()).map(|(n, v)| format!("{n}={v}")).collect());
        } else {
            parts.push(part.to_owned());
        }
    }
    if !replaced {
        parts.push(page);
    }
    let path_and_query = format!("{path}?{}", parts.join("&"));
    match &options.next_page {
        NextPage::Relative => path_and_query,
        NextPage::OtherHost(host) if host.contains("://") => format!("{host}{path_and_query}"),
        NextPage::OtherHost(host) => format!("https://{host}{path_and_query}"),
        _ => format!("{base}{path_and_query}"),
    }
}
