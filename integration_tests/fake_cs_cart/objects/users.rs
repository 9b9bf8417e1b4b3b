//! User accounts.

use crate::context::Context;
use crate::json::Writer;
use crate::options::Rights;
use crate::page::{Item, RowKey, SortValue, Sorting};
use crate::rows::User;

/// Returns the accounts that pass the filters.
pub(crate) fn select<'a>(context: &Context<'a>, sorting: &Sorting) -> Vec<Item<'a>> {
    let types = context.query.list("user_type");
    let ids = context.query.numbers("user_ids");
    let statuses = context.query.list("status");
    let email = context.query.filled("email");
    let own = context.account.user_id;
    let sees_administrators = match &context.account.rights {
        Rights::Limited(privileges) => privileges.contains("manage_admins"),
        _ => true,
    };
    let is_listed = |user: &User| {
        let user_type = user.user_type.to_string();
        types.as_ref().is_none_or(|types| types.contains(&user_type.as_str()))
            && ids.as_ref().is_none_or(|ids| ids.binary_search(&user.user_id).is_ok())
            && statuses.as_ref().is_none_or(|all| all.contains(&user.status.to_string().as_str()))
            && email.is_none_or(|part| user.email.contains(part))
            && (user.user_type != 'A' || sees_administrators || user.user_id == own)
            && (user.user_type == 'A' || context.is_in_company(user.company_id, context.is_ultimate()))
    };
    let users = context.data.users.iter().filter(|(_, user)| is_listed(user));
    users.map(|(id, user)| Item { key: (*id, 0), value: value(sorting.name, user) }).collect()
}

fn value<'a>(sort: &str, user: &'a User) -> SortValue<'a> {
    match sort {
        "id" => SortValue::Number(user.user_id),
        "username" | "email" => SortValue::Text(&user.email),
        "date" => SortValue::Number(user.timestamp),
        "type" => SortValue::Number(i64::from(u32::from(user.user_type))),
        "status" => SortValue::Number(i64::from(u32::from(user.status))),
        "phone" => SortValue::Text(&user.phone),
        "last_login" => SortValue::Number(user.last_login),
        "company" => SortValue::Number(user.company_id),
        _ => SortValue::Texts(&user.lastname, &user.firstname),
    }
}

/// Writes a row of the list.
pub(crate) fn write(context: &Context<'_>, key: RowKey, out: &mut Writer) -> bool {
    let Some(user) = context.data.users.get(key.0) else {
        return false;
    };
    out.open('{');
    out.int("user_id", user.user_id).text("user_login", &user.email);
    out.text("is_root", if user.user_id == 1 { "Y" } else { "N" }).int("timestamp", user.timestamp);
    out.text("user_type", &user.user_type.to_string()).text("status", &user.status.to_string());
    out.text("firstname", &user.firstname).text("lastname", &user.lastname).text("email", &user.email);
    out.text("company", "").int("company_id", user.company_id).text("phone", &user.phone);
    out.int("last_login", user.last_login);
    match user.company_id {
        0 => out.raw("company_name", "null"),
        company => out.text("company_name", &format!("Company {company}")),
    };
    out.close('}');
    true
}

/// Writes one account: the same row as in the list.
pub(crate) fn write_one(context: &Context<'_>, id: i64, out: &mut Writer) -> bool {
    write(context, (id, 0), out)
}

/// Writes the profile that a cart has of its owner, with secrets that the server leaves in.
pub(crate) fn write_user_data(user: &User, out: &mut Writer) {
    out.open_in("user_data", '{');
    out.int("user_id", user.user_id).text("status", &user.status.to_string());
    out.text("user_type", &user.user_type.to_string()).text("user_login", &user.email).text("referer", "");
    out.text("is_root", "N").int("company_id", user.company_id).int("last_login", user.last_login);
    out.int("timestamp", user.timestamp);
    out.text("password", &format!("PRIVATE-password-{}", user.user_id)).text("salt", "PRIVATE-salt");
    out.text("last_passwords", "PRIVATE-passwords").text("api_key", "PRIVATE-api-key");
    out.text("firstname", &user.firstname).text("lastname", &user.lastname).text("company", "");
    out.text("email", &user.email).text("phone", &user.phone).text("fax", "").text("tax_exempt", "N");
    out.text("lang_code", "en").text("birthday", "").raw("usergroups", "[]").text("profile_id", "2");
    for prefix in ["b_", "s_"] {
        write_address(prefix, &user.firstname, &user.lastname, out);
    }
    out.raw("fields", "[]").raw("points", "0").close('}');
}

/// Writes an address whose names begin with a prefix.
pub(crate) fn write_address(prefix: &str, firstname: &str, lastname: &str, out: &mut Writer) {
    let values = [
        ("firstname", firstname),
        ("lastname", lastname),
        ("address", "44 Main street"),
        ("address_2", ""),
        ("city", "Boston"),
        ("county", ""),
        ("state", "MA"),
        ("country", "US"),
        ("zipcode", "02134"),
        ("phone", ""),
        ("country_descr", "United States"),
        ("state_descr", "Massachusetts"),
    ];
    for (name, value) in values {
        out.text(&format!("{prefix}{name}"), value);
    }
}
