//! Interactions from all file formats: their order, their times, and refused inputs.

use super::*;
use crate::progress::Silent;
use crate::table::samples;
use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray};
use arrow::array::{TimestampMillisecondArray, TimestampSecondArray};
use std::fs;
use std::sync::Arc;

fn read(name: &str, content: &str) -> Result<Interactions> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    Interactions::read(&InteractionSpec { path, ..InteractionSpec::default() }, &Silent)
}

fn histories(found: &Interactions) -> Vec<Vec<&str>> {
    let names = |history: &Vec<Event>| history.iter().map(|event| &*found.items[event.item as usize]).collect();
    found.histories.iter().map(names).collect()
}

#[test]
fn times_order_a_history_and_ties_keep_the_order_of_the_file() {
    let rows = "user_id,item_id,timestamp\nu,c,30\nv,a,5\nu,b,10\nu,a,10\nu,d,9.5\nu,b,10\n";
    let mut found = read("a.csv", rows).unwrap();
    assert_eq!(found.users, ["u", "v"]);
    assert_eq!(histories(&found), [vec!["d", "b", "a", "c"], vec!["a"]]);
    assert_eq!((found.duplicates, found.len()), (1, 5));
    found.hold_out_last(2);
    assert_eq!(histories(&found), [vec!["d", "b"], vec![]]);
}

#[test]
fn all_forms_give_the_same_histories() {
    let lines = read("a.txt", "u c b\n\nv a a\n").unwrap();
    let csv = read("a.csv", "user,item\nu,c\nv,a\nu,b\nv,a\n").unwrap();
    let dates = "user,item,time\nv,a,2024-03-02\nu,b,2024-01-01T10:00:00\nu,c,2023-12-31\nv,a,2024-03-01\n";
    let dates = read("b.csv", dates).unwrap();
    let json = read("a.jsonl", "{\"user\":\"u\",\"item\":\"c\",\"time\":1}\n{\"user\":\"u\",\"item\":\"b\",\"time\":2}\n{\"user\":\"v\",\"item\":\"a\",\"time\":1}\n{\"user\":\"v\",\"item\":\"a\",\"time\":3}\n").unwrap();
    let by_name = |found: &Interactions| {
        let mut all: Vec<(String, Vec<String>)> = found
            .users
            .iter()
            .cloned()
            .zip(histories(found).into_iter().map(|h| h.into_iter().map(str::to_owned).collect()))
            .collect();
        all.sort();
        all
    };
    for other in [csv, dates, json] {
        assert_eq!(by_name(&other), by_name(&lines));
        assert_eq!(other.duplicates, 0);
    }
}

#[test]
fn every_format_and_compression_gives_the_same_events() {
    let folder = tempfile::tempdir().unwrap();
    let part = |rows: std::ops::Range<i64>| {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("user", Arc::new(StringArray::from_iter_values(rows.clone().map(|row| format!("u{}", row % 2))))),
            ("item", Arc::new(Int64Array::from_iter_values(rows.clone()))),
            ("time", Arc::new(Int64Array::from_iter_values(rows.rev()))),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    };
    let mut paths = samples::binary_tables(folder.path(), &[part(0..4), part(4..6)]);
    let times = [3, 2, 1, 0, 5, 4];
    let event = |row: usize| format!("{{\"user\":\"u{}\",\"item\":{row},\"time\":{}}}\n", row % 2, times[row]);
    let json: String = (0..6).map(event).collect();
    paths.extend(samples::compressed(folder.path(), "a.jsonl", json.as_bytes()));
    let csv: String = (0..6).map(|row| format!("u{},{row},{}\n", row % 2, times[row])).collect();
    paths.extend(samples::compressed(folder.path(), "a.csv", format!("user,item,time\n{csv}").as_bytes()));
    for path in paths {
        let spec = InteractionSpec { path: path.clone(), ..InteractionSpec::default() };
        let found = Interactions::read(&spec, &Silent).unwrap();
        assert!(found.timed, "{}", path.display());
        assert_eq!(histories(&found), [["2", "0", "4"], ["3", "1", "5"]], "{}", path.display());
    }
    for path in samples::compressed(folder.path(), "a.txt", b"u0 2 0 4\nu1 3 1 5\n") {
        let found = Interactions::read(&InteractionSpec { path, ..InteractionSpec::default() }, &Silent).unwrap();
        assert_eq!(histories(&found), [["2", "0", "4"], ["3", "1", "5"]]);
    }
}

#[test]
fn ratings_are_read_if_requested() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    fs::write(&path, "user,item,rating,stars\nu,a,4.5,1\nu,b,3,2\n").unwrap();
    let spec = InteractionSpec { path, ..InteractionSpec::default() };
    let ratings = |spec: &InteractionSpec| {
        let found = Interactions::read(spec, &Silent)?;
        Ok::<_, Error>((found.rated, found.histories[0].iter().map(|event| event.rating).collect::<Vec<_>>()))
    };
    assert_eq!(ratings(&spec).unwrap(), (false, vec![0.0, 0.0]));
    let wanted = InteractionSpec { rated: true, ..spec };
    assert_eq!(ratings(&wanted).unwrap(), (true, vec![4.5, 3.0]));
    let named = |name: &str| InteractionSpec { rating: Some(name.into()), ..wanted.clone() };
    assert_eq!(ratings(&named("stars")).unwrap().1, [1.0, 2.0]);
    assert!(ratings(&named("score")).unwrap_err().to_string().contains("one of: user, item, rating, stars"));
    fs::write(&wanted.path, "user,item,rating\nu,a,4.5\nu,b,good\n").unwrap();
    let error = ratings(&wanted).unwrap_err().to_string();
    assert!(error.contains("row 2, column \"rating\"") && error.contains("good"), "{error}");
}

#[test]
fn all_forms_of_time_give_the_same_order() {
    let order = |column: &str, times: [&str; 3]| {
        let rows: String = times.iter().zip(["b", "c", "a"]).map(|(time, item)| format!("u,{item},{time}\n")).collect();
        histories(&read("t.csv", &format!("user,item,{column}\n{rows}")).unwrap())[0].join("")
    };
    for times in [
        ["1600000100", "1600000200", "1600000000"],
        ["1.6000001e12", "1600000200000.5", "1600000000000"],
        ["2", "1000000000000", "1"],
        ["2024-01-02", "2024-01-02T00:00:01", "2024-01-01 23:59:59.999"],
        // In UTC: 08:00, 09:00, 07:30.
        ["2024-01-02T10:00:00+02:00", "2024-01-02T09:00:00Z", "2024-01-01T23:30:00-08:00"],
        ["2300-01-01", "9999-12-31", "2262-04-12"],
    ] {
        assert_eq!(order("time", times), "abc", "{times:?}");
    }
}

#[test]
fn typed_times_of_every_unit_are_seconds() {
    use arrow::array::{TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray};
    use arrow::array::{TimestampSecondArray, UInt64Array};
    let folder = tempfile::tempdir().unwrap();
    let times: Vec<ArrayRef> = vec![
        Arc::new(TimestampSecondArray::from(vec![60, 30])),
        Arc::new(TimestampMillisecondArray::from(vec![60_000, 30_000])),
        Arc::new(TimestampMicrosecondArray::from(vec![60_000_000, 30_000_000]).with_timezone("+08:00")),
        Arc::new(TimestampNanosecondArray::from(vec![60_000_000_000, 30_000_000_000]).with_timezone("UTC")),
        Arc::new(UInt64Array::from(vec![60, 30])),
    ];
    for (number, times) in times.into_iter().enumerate() {
        // Categories, and ids of 64 unsigned bits.
        let users: arrow::array::DictionaryArray<arrow::datatypes::Int32Type> = ["u", "u"].into_iter().collect();
        let columns: Vec<(&str, ArrayRef)> =
            vec![("user", Arc::new(users)), ("item", Arc::new(UInt64Array::from(vec![u64::MAX, 1]))), ("time", times)];
        let path = folder.path().join(format!("{number}.parquet"));
        samples::parquet(&path, &[RecordBatch::try_from_iter(columns).unwrap()]);
        let found = Interactions::read(&InteractionSpec { path, ..InteractionSpec::default() }, &Silent).unwrap();
        assert_eq!(histories(&found), [["1", "18446744073709551615"]]);
        assert_eq!(found.histories[0].iter().map(|event| event.time).collect::<Vec<_>>(), [30.0, 60.0], "{number}");
    }
}

#[test]
fn columns_that_can_contain_times_are_named() {
    use crate::progress::ProgressEvents;
    let folder = tempfile::tempdir().unwrap();
    let warned = |column: &str, json: bool| {
        let path = folder.path().join(if json { "a.jsonl" } else { "a.csv" });
        let csv = format!("user,item,{column}\nu,a,1\n");
        let line = format!("{{\"user\":\"u\",\"item\":\"a\",\"{column}\":1}}\n");
        fs::write(&path, if json { line } else { csv }).unwrap();
        let (send, events) = std::sync::mpsc::channel();
        let progress = ProgressEvents::new(move |event| send.send(event).unwrap());
        let spec = InteractionSpec { path, ..InteractionSpec::default() };
        let timed = Interactions::read(&spec, &progress).unwrap().timed;
        drop(progress);
        (timed, events.iter().map(|event| event.to_string()).collect::<String>())
    };
    for name in
        ["unixReviewTime", "Timestamp", "TIME", "time_ms", "created_at", "createdAt", "ts", "date", "event_date"]
    {
        for json in [false, true] {
            let (timed, warning) = warned(name, json);
            assert!(!timed && warning.contains(name) && warning.contains("--interactions-time"), "{name}: {warning}");
        }
    }
    for (name, timed) in [("timestamp", true), ("time", true), ("stars", false), ("category", false)] {
        assert_eq!(warned(name, false), (timed, String::new()), "{name}");
    }
}

#[test]
fn folders_and_patterns_are_read_like_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let read = |path: PathBuf| {
        let spec = InteractionSpec { path, ..InteractionSpec::default() };
        Interactions::read(&spec, &Silent).map(|found| (histories(&found).concat().join(""), found.timed))
    };
    for (kind, parts) in
        [("csv", ["user,item,time\nu,c,3\n", "user,item,time\nu,a,1\nu,b,2\n"]), ("txt", ["u a b\n", "u c\n"])]
    {
        let folder = folder.path().join(kind);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("_SUCCESS"), "").unwrap();
        for (number, part) in parts.iter().enumerate() {
            fs::write(folder.join(format!("part-{number}.{kind}")), part).unwrap();
        }
        let expected = ("abc".to_owned(), kind == "csv");
        assert_eq!(read(folder.clone()).unwrap(), expected);
        assert_eq!(read(folder.join(format!("part-?.{kind}"))).unwrap(), expected);
        let absent = read(folder.join(format!("x*.{kind}"))).unwrap_err();
        assert!(matches!(absent, Error::Missing { .. }), "{absent}");
    }
    // Both folders exist, so no message may say that they do not.
    let nothing = read(folder.path().to_path_buf()).unwrap_err().to_string();
    assert!(nothing.contains("a folder of tables") && !nothing.contains("does not exist"), "{nothing}");
    let parts = ["user,item,time\nu,c,3\n", "user,item,time\nu,a,2024-01-01\n"];
    (0..2).for_each(|part| fs::write(folder.path().join(format!("{part}.csv")), parts[part]).unwrap());
    let error = read(folder.path().to_path_buf()).unwrap_err().to_string();
    assert!(error.contains("1.csv, row 1") && error.contains("in row 1 of ") && error.contains("0.csv"), "{error}");
}

#[test]
fn many_events_of_one_time_are_read_in_linear_time() {
    let mut history: Vec<Event> = Vec::new();
    for round in 0..2u32 {
        history.extend((0..200_000).map(|item| Event { item: (item * 7 + round) % 200_000, time: 1.0, rating: 0.0 }));
    }
    let began = std::time::Instant::now();
    assert_eq!(sort_by_time(&mut history), 200_000);
    assert!(history[..3].iter().map(|event| event.item).eq([0, 7, 14]));
    assert!(began.elapsed().as_secs() < 10);
}

#[test]
fn faults_name_their_location() {
    let says = |name: &str, content: &str| read(name, content).unwrap_err().to_string();
    assert!(says("a.csv", "who,item\nu,a\n").contains("one of: who, item"));
    assert!(says("b.csv", "user,item,time\nu,a,1\nu,,2\n").contains("row 2, column \"item\""));
    assert!(says("c.csv", "user,item,time\nu,a,soon\n").contains("row 1, column \"time\""));
    for (times, expected) in [
        (["5", "2024-01-02", "7"], "row 2, column \"time\": expected a number, as \"5\" in row 1, got a date"),
        (["2024-01-02", "2024-01-03T10:00:00", "7"], "row 3, column \"time\": expected a date without a time zone"),
        (["2024-01-02T10:00:00", "2024-01-02T10:00:00Z", "2024-01-02"], "got a date with a time zone"),
        (["2024-01-02T10:00:00+02:00", "2024-01-02T10:00:00Z", "2024-01-02T10:00:00"], "row 3"),
        (["1600000000", "1600000001", "1600000000000"], "row 3, column \"time\": expected one unit of time"),
        (["1600000000000", "0", "1600000000"], "got milliseconds"),
    ] {
        let rows: String = times.iter().map(|time| format!("u,a,{time}\n")).collect();
        let error = says("t.csv", &format!("user,item,time\n{rows}"));
        assert!(error.contains(expected), "{times:?}: {error}");
    }
    assert!(says("d.csv", "user,item\n").contains("got none"));
    assert!(says("e.txt", "").contains("an empty file"));
    assert!(says("f.txt", "u\nv\n").contains("line 1"));
    assert!(says("u.data", "196\t242\t3\t881250949\n").contains(".txt for lines"));
}

#[test]
fn dates_outside_the_range_of_microseconds_are_refused() {
    let far: [(ArrayRef, &str); 3] = [
        (Arc::new(TimestampSecondArray::from(vec![0, i64::MAX])), "9223372036854775807"),
        (Arc::new(TimestampMillisecondArray::from(vec![0, i64::MIN])), "-9223372036854775808"),
        (Arc::new(Date32Array::from(vec![0, i32::MAX])), "2147483647"),
    ];
    for (times, shown) in far {
        let texts = || -> ArrayRef { Arc::new(StringArray::from(vec!["a", "b"])) };
        let batch = RecordBatch::try_from_iter([("user", texts()), ("item", texts()), ("time", times)]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for path in samples::binary_tables(folder.path(), &[batch]) {
            let spec = InteractionSpec { path: path.clone(), ..InteractionSpec::default() };
            let error = Interactions::read(&spec, &Silent).unwrap_err().to_string();
            assert!(error.contains("row 2, column \"time\": expected a date between the years"), "{error}");
            assert!(error.contains(shown), "{error}");
        }
    }
}
