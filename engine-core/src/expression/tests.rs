use super::*;

#[test]
#[ignore = "throw-away"]
fn throw_away() {
    let input = std::fs::read_to_string(std::env::var_os("FL_IN").unwrap()).unwrap();
    let mut out = String::new();
    for line in input.lines() {
        let line = Value::from_json(line).unwrap();
        let Value::Map(map) = line else { panic!() };
        let Some(Value::Text(text)) = BTreeMap::get(&map, "expr") else { panic!() };
        let Some(Value::Map(variables)) = BTreeMap::get(&map, "variables") else { panic!() };
        let result = CompiledExpression::compile(text).and_then(|c| c.value(&**variables));
        let shown = match result {
            Ok(item) => show(&item),
            Err(error) => format!("ERR {} {error}", error.cause()),
        };
        out.push_str(&serde_json::to_string(&shown).unwrap());
        out.push('\n');
    }
    std::fs::write(std::env::var_os("FL_OUT").unwrap(), out).unwrap();
}

fn show(item: &item::Item) -> String {
    use item::{Item, ListKind};
    use number::Number;
    match item {
        Item::Null => "null".into(),
        Item::Bool(b) => format!("bool:{b}"),
        Item::Number(Number::Int(n)) => format!("int:{n}"),
        Item::Number(Number::Long(n)) => format!("long:{n}"),
        Item::Number(Number::Big(n)) => format!("big:{n}"),
        Item::Number(Number::Decimal(d)) => format!("dec:{}/{}", d.digits, d.scale),
        Item::Number(Number::Float(f)) => format!("float:{}", f.to_bits().cast_signed()),
        Item::Number(Number::Double(f)) if f.is_nan() => "double:nan".into(),
        Item::Number(Number::Double(f)) => format!("double:{}", f.to_bits().cast_signed()),
        Item::Char(c) => format!("char:{c}"),
        Item::Text(t) => format!("text:{t}"),
        Item::Template(t) => format!("gtext:{t}"),
        Item::List(l) => {
            let items: Vec<String> = l.iter().map(|i| show(&i)).collect();
            let kind = match l.kind {
                ListKind::List if l.is_range() && l.len() > 0 => "range",
                ListKind::List => "",
                ListKind::Array => "array",
                ListKind::Set => "set",
                ListKind::Values => "coll",
            };
            format!("{kind}[{}]", items.join(","))
        }
        Item::Map(m) => {
            let items: Vec<String> = m.entries().map(|(k, v)| format!("{}=>{}", show(&k), show(&v))).collect();
            format!("{{{}}}", items.join(","))
        }
        Item::Huge(t) => format!("huge:{t}"),
    }
}
