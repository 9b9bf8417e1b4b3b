//! `cargo bench -p bench`: the pure parts alone, in bytes and rows per second.

mod pure_parts;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pure_parts::{INSTANTS, Page, ROWS, instants, instants_to_utc, page_to_lines, state_text, state_to_line};

fn pages(criterion: &mut Criterion) {
    for name in ["orders", "products"] {
        let page = Page::of(name);
        let mut group = criterion.benchmark_group(format!("page of {name} to lines"));
        for (unit, amount) in
            [("bytes", Throughput::Bytes(page.body.len() as u64)), ("rows", Throughput::Elements(ROWS as u64))]
        {
            group.throughput(amount);
            group.bench_function(unit, |bencher| bencher.iter(|| page_to_lines(&page)));
        }
        group.finish();
    }
}

fn small_parts(criterion: &mut Criterion) {
    let texts = instants();
    let mut group = criterion.benchmark_group("local time to UTC");
    group.throughput(Throughput::Elements(INSTANTS as u64));
    group.bench_function("instants", |bencher| bencher.iter(|| instants_to_utc(&texts)));
    group.finish();
    let text = state_text();
    let mut group = criterion.benchmark_group("state of 900 rows, read and written");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("bytes", |bencher| bencher.iter(|| state_to_line(&text)));
    group.finish();
}

criterion_group!(benches, pages, small_parts);
criterion_main!(benches);
