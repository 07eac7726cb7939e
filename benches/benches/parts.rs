//! The time of each part of the engine, on one thread.

use criterion::{Criterion, criterion_group, criterion_main};
use flowledger_benches::parts::PARTS;

fn parts(criterion: &mut Criterion) {
    for part in PARTS {
        // What takes long to make is made only if it is asked for.
        let mut made = None;
        criterion.bench_function(part.name, |bencher| bencher.iter(made.get_or_insert_with(part.make)));
    }
}

criterion_group!(benches, parts);
criterion_main!(benches);
