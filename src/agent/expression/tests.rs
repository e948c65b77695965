//! The language by example, and against a naive evaluator.

use std::{fmt::Write as _, thread};

use proptest::prelude::*;

use super::*;

const NAMES: [&str; 5] = ["cpu", "x", "%", "_a%1", "nile"];

/// The index of a name is its place in `NAMES`; others share one that is always nil.
fn compile(text: &str) -> Result<Expression, ExpressionError> {
    Expression::compile(text, &mut |name| {
        MetricIndex(NAMES.iter().position(|known| *known == name).unwrap_or(99) as u32)
    })
}

fn error(text: &str) -> String {
    compile(text).expect_err(text).to_string()
}

/// Whether `text` holds while `x` has this value.
fn holds(text: &str, x: Option<f64>) -> bool {
    compile(text).expect(text).holds(&[0.0, x.unwrap_or(f64::NAN)])
}

#[test]
fn an_expression_is_shown_as_it_was_understood() {
    for (text, shown) in [
        ("cpu > 23%", "cpu > 23%"),
        ("cpu < 5% || cpu > 40%", "cpu < 5% || cpu > 40%"),
        ("x<3% || x == nil", "x < 3% || x == nil"),
        ("cpu > 23 % && (x<3||x==nil)", "cpu > 23% && (x < 3 || x == nil)"),
        ("a>1&&b>2||c>3&&d>4", "a > 1 && b > 2 || c > 3 && d > 4"),
        ("(a>1||b>2)&&(c>3||d>4)", "(a > 1 || b > 2) && (c > 3 || d > 4)"),
        ("((a > 1) && (b > 2)) && c > 3", "a > 1 && b > 2 && c > 3"),
        ("(((cpu))) > 3", "cpu > 3"),
        ("free > 20Gib", "free > 20Gib"),
        ("free > 20 Gib", "free > 20Gib"),
        ("lag < 5 µs", "lag < 5µs"),
        // a word behind a number is its unit, also if it could be a metric
        ("x < 5 x", "x < 5x"),
        ("x == 3 nile", "x == 3nile"),
        ("%cpu > 1", "%cpu > 1"),
        ("cpu% > 1", "cpu% > 1"),
        ("% > 1%", "% > 1%"),
        ("x > - 2", "x > -2"),
        ("x > 007.50", "x > 7.5"),
        ("x > .5 && x < 5.", "x > 0.5 && x < 5"),
        ("2 > 2", "2 > 2"),
        ("nil == nil", "nil == nil"),
        ("2 != nil", "2 != nil"),
        ("nile == nil", "nile == nil"),
        ("x > 3 ||\n\ty > 2\r\n", "x > 3 || y > 2"),
        ("workload.mqtt-1.ready==1", "workload.mqtt-1.ready == 1"),
        ("workload.a.running.b.last_exit != nil", "workload.a.running.b.last_exit != nil"),
        ("time.hour>=22||time.weekday>5", "time.hour >= 22 || time.weekday > 5"),
        ("time > 1 && timed > 1", "time > 1 && timed > 1"),
        (
            "device.present(\"/dev/serial/by-id/usb-A_(1)-if0\")==1",
            "device.present(\"/dev/serial/by-id/usb-A_(1)-if0\") == 1",
        ),
        (
            "x > 1&&(device.present(\"usb:1a86:7523\")==1||device.present(\"net:eth0.7\")==0)",
            "x > 1 && (device.present(\"usb:1a86:7523\") == 1 || device.present(\"net:eth0.7\") == 0)",
        ),
        ("device > 1 && device_present > 1", "device > 1 && device_present > 1"),
        ("workload.ready.ready == 0", "workload.ready.ready == 0"),
        // without a dot it is a metric
        ("workload > 1 && workload_1 > 1", "workload > 1 && workload_1 > 1"),
    ] {
        let expression = compile(text).expect(text);
        assert_eq!(expression.to_string(), shown, "{text}");
    }
}

#[test]
fn operators_compare_as_everybody_expects() {
    for (operator, below, same, above) in [
        ("==", false, true, false),
        ("!=", true, false, true),
        ("<", true, false, false),
        ("<=", true, true, false),
        (">", false, false, true),
        (">=", false, true, true),
    ] {
        let text = format!("x {operator} -1.5");
        let outcome = [-2.0, -1.5, 0.0].map(|x| holds(&text, Some(x)));
        assert_eq!(outcome, [below, same, above], "{text}");
        assert!(!holds(&text, None), "{text} with x unset");
        let text = format!("2 {operator} 2");
        assert_eq!(holds(&text, None), same, "{text}");
    }
}

#[test]
fn nil_is_what_was_never_posted() {
    assert!(holds("x == nil", None) && !holds("x == nil", Some(0.0)));
    assert!(holds("x != nil", Some(0.0)) && !holds("x != nil", None));
    assert!(holds("nil == nil", None) && !holds("nil != nil", None));
    assert!(holds("2 != nil", None) && !holds("2 == nil", None));
    assert!(!holds("nil == 2", None) && !holds("nil != 2", None));
    assert!(compile("x == nil").expect("valid").holds(&[]), "an index beyond the values is nil");
}

#[test]
fn the_third_of_a_chain_counts() {
    for last in ["x > 1", "(x > 1)", "(x > 1 && 1 > 0)"] {
        let (all, any) = (format!("1 > 0 && 2 > 0 && {last}"), format!("0 > 1 || 0 > 2 || {last}"));
        assert!(holds(&all, Some(2.0)) && !holds(&all, Some(0.0)), "{all}");
        assert!(holds(&any, Some(2.0)) && !holds(&any, Some(0.0)), "{any}");
    }
}

#[test]
fn and_binds_closer_than_or() {
    assert!(holds("1 > 0 || 1 > 0 && 0 > 1", None));
    assert!(!holds("(1 > 0 || 1 > 0) && 0 > 1", None));
}

#[test]
fn metrics_are_sorted_and_each_there_once() {
    let expression = compile("x > 1 && (cpu < 2 || x == nil) && x < 9").expect("valid");
    assert_eq!(expression.metrics(), [MetricIndex(0), MetricIndex(1)]);
    assert_eq!(compile("2 > 1").expect("valid").metrics(), []);
}

#[test]
fn an_error_shows_the_text_the_column_and_what_was_expected() {
    for (text, column, reason) in [
        ("", 1, "there is no expression: the condition is never true"),
        ("   ", 1, "there is no expression: the condition is never true"),
        ("cpu >", 6, "expected a number or nil"),
        ("cpu >> 3", 6, "expected a number or nil"),
        ("2 > name", 5, "expected a number or nil"),
        ("x > - nil", 7, "expected a number"),
        ("x > .", 5, "expected a number or nil"),
        ("> 3", 1, "expected a metric's name, a number, nil or ("),
        ("!x", 1, "expected a metric's name, a number, nil or ("),
        ("a > 1 &&", 9, "expected a metric's name, a number, nil or ("),
        ("()", 2, "expected a metric's name, a number, nil or ("),
        ("x = 3", 3, "expected the end, a comparison (== != < <= > >=), ||, or &&"),
        ("5 x", 3, "expected the end, a comparison (== != < <= > >=), ||, or &&"),
        ("5% > 3", 2, "expected the end, a comparison (== != < <= > >=), ||, or &&"),
        ("a > 1 & b > 2", 7, "expected the end, ||, &&, or a unit"),
        ("x == 3 nil", 8, "expected the end, ||, &&, or a unit"),
        ("x > 1.2.3", 8, "expected the end, ||, &&, or a unit"),
        ("x > 1e5", 7, "expected the end, ||, or &&"),
        ("x > 3 or y > 2", 10, "expected the end, ||, or &&"),
        ("x > 3%cpu", 7, "expected the end, ||, or &&"),
        ("cpu > 3)", 8, "expected the end, ||, &&, or a unit"),
        ("(cpu > 3", 9, "expected ||, &&, ), or a unit"),
        ("(cpu > 3 %", 11, "expected ||, &&, or )"),
        ("cpu", 1, "expected a comparison: cpu alone is neither true nor false"),
        ("3", 1, "expected a comparison: 3 alone is neither true nor false"),
        ("nil", 1, "expected a comparison: nil alone is neither true nor false"),
        ("x > 3 && (cpu)", 10, "expected a comparison: cpu alone is neither true nor false"),
        ("a && b > 1", 1, "expected a comparison: a alone is neither true nor false"),
        ("(a > 1) > 2", 9, "expected &&, || or the end: true and false can't be compared"),
        ("(a > 1) == nil", 9, "expected &&, || or the end: true and false can't be compared"),
        ("x < nil", 3, "expected == or !=: nil is neither less nor more than anything"),
        ("nil >= 3", 5, "expected == or !=: nil is neither less nor more than anything"),
        ("workload.mqtt > 1", 14, "expected `.ready`, `.running` or `.last_exit`"),
        ("workload.mqtt.redy > 1", 19, "expected `.ready`, `.running` or `.last_exit`"),
        ("workload.mqtt.ready2 > 1", 21, "expected `.ready`, `.running` or `.last_exit`"),
        ("workload.Mqtt.ready > 1", 10, "expected a workload's name"),
        ("workload..ready > 1", 10, "expected a workload's name"),
        (
            "workload.mqtt.ready",
            1,
            "expected a comparison: workload.mqtt.ready alone is neither true nor false",
        ),
        ("time.minute > 1", 6, "expected `hour` or `weekday`"),
        ("time.hours > 1", 6, "expected `hour` or `weekday`"),
        ("device.presnet(\"/dev/video0\") == 1", 8, "expected `present(\"`"),
        ("device.present(/dev/video0) == 1", 8, "expected `present(\"`"),
        ("device.present(\"/dev/video0) == 1", 34, "expected `\")`"),
        ("device.present(\"/dev/video0\" ) == 1", 28, "expected `\")`"),
        (
            "device.present(\"video0\") == 1",
            17,
            "expected a path below /dev, usb: with vendor and product, or net: with an interface",
        ),
        (
            "device.present(\"/dev/../etc/passwd\") == 1",
            17,
            "a path below /dev has neither `.`, `..` nor nothing between its slashes",
        ),
        (
            "device.present(\"/dev/\") == 1",
            17,
            "a path below /dev has neither `.`, `..` nor nothing between its slashes",
        ),
        (
            "x > 1 || device.present(\"/dev/shm/x\") == 1",
            26,
            "the kernel doesn't announce what comes and goes here",
        ),
        (
            "device.present(\"/dev/a b\") == 1",
            23,
            "the name of a device has no blank or invisible characters",
        ),
        (
            "device.present(\"usb:1a86:752\") == 1",
            17,
            "expected vendor and product of four hexadecimal digits each: usb:1a86:7523",
        ),
        ("device.present(\"net:\") == 1", 17, "expected a network interface: net:eth1"),
        (
            "device.present(\"net:a/b\") == 1",
            17,
            "a network interface has at most 15 bytes, without a slash or a colon",
        ),
        (
            "device.present(\"/dev/x\")",
            1,
            "expected a comparison: device.present(\"/dev/x\") alone is neither true nor false",
        ),
        ("workload.mqtt .ready > 1", 14, "expected `.ready`, `.running` or `.last_exit`"),
        ("load.mqtt.ready > 1", 5, "expected the end, a comparison (== != < <= > >=), ||, or &&"),
        // columns are characters, not bytes
        ("x > 3µs y", 9, "expected the end, ||, or &&"),
        ("größe > 3", 3, "expected the end, a comparison (== != < <= > >=), ||, or &&"),
    ] {
        let caret = " ".repeat(column - 1);
        let shown = text.trim_end();
        assert_eq!(error(text), format!("column {column}: {reason}\n    {shown}\n    {caret}^"));
        assert_eq!(compile(text).expect_err(text).column(), column);
    }
}

#[test]
fn an_error_in_a_text_of_several_lines_points_into_one() {
    assert_eq!(
        error("x > 3 &&\n\t(y > 2 ||\r\n z)\n"),
        "column 23: expected a comparison: z alone is neither true nor false\
         \n    x > 3 &&  (y > 2 ||   z)\
         \n                          ^"
    );
    assert!(!error("x > \u{1b}[31m3").contains('\u{1b}'));
}

#[test]
fn an_error_in_a_long_text_shows_what_is_around_it() {
    let text = format!("{}a b{}", "x > 1 || ".repeat(20), " || x > 1".repeat(20));
    let error = error(&text);
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(lines[0], "column 183: expected the end, a comparison (== != < <= > >=), ||, or &&");
    assert!(lines[1].starts_with("    …") && lines[1].ends_with('…'), "{error}");
    assert_eq!(lines[1].chars().count(), 4 + 74);
    assert_eq!(lines[1].chars().nth(lines[2].chars().count() - 1), Some('b'), "{error}");
}

#[test]
fn a_number_too_large_for_a_double_is_refused() {
    assert!(error(&format!("x > 1{}", "0".repeat(309))).starts_with("column 5: the number is too large\n"));
    assert!(holds(&format!("x < 1{}", "0".repeat(308)), Some(1.0)));
}

#[test]
fn the_name_of_a_device_is_short_and_can_be_seen() {
    let asked = |name: &str| format!("device.present(\"{name}\") == 1");
    let longest = format!("/dev/{}", "x".repeat(250));
    assert!(compile(&asked(&longest)).is_ok());
    assert!(error(&asked(&(longest + "x"))).starts_with("column 17: the name of a device has at most 255"));
    let error = error(&asked("/dev/\u{7}x"));
    assert!(error.starts_with("column 22: the name of a device has no blank"), "{error}");
}

#[test]
fn bombs_are_refused_before_they_are_parsed() {
    let nested = |depth| format!("{}x > 1{}", "(".repeat(depth), ")".repeat(depth));
    // a small stack is all that the deepest legal nesting needs
    let deepest = nested(MAX_DEPTH);
    let child = thread::Builder::new().stack_size(1 << 20).spawn(move || compile(&deepest).map(|_| ()));
    assert_eq!(child.expect("thread").join().expect("no overflow"), Ok(()));

    assert!(error(&nested(MAX_DEPTH + 1)).starts_with("column 65: parentheses nest at most 64 deep\n"));
    assert!(error(&"(".repeat(MAX_LENGTH)).starts_with("column 65: "));
    assert!(error(&"(".repeat(1 << 20)).starts_with("column 1: an expression has at most 4096 bytes"));
    // no parentheses around parentheses: as many pairs as fit
    assert!(compile(&format!("{}x > 1", "(x > 1)||".repeat(450))).is_ok());
}

/// What the grammar says, as a tree that is written down and evaluated in the plainest way.
#[derive(Debug, Clone)]
enum Tree {
    Test(Term, &'static str, Option<f64>, &'static str),
    And(Vec<Tree>),
    Or(Vec<Tree>),
    Parentheses(Box<Tree>),
}

#[derive(Debug, Clone, Copy)]
enum Term {
    Metric(usize),
    Constant(Option<f64>),
}

impl Tree {
    fn write(&self, out: &mut String, blank: &str) {
        match self {
            Tree::Test(left, operator, right, unit) => {
                match left {
                    Term::Metric(index) => out.push_str(NAMES[*index]),
                    Term::Constant(None) => out.push_str("nil"),
                    Term::Constant(Some(number)) => write!(out, "{}", number.abs()).expect("String"),
                }
                write!(out, "{blank}{operator}{blank}").expect("String");
                match right {
                    None => out.push_str("nil"),
                    Some(number) => write!(out, "{number}{blank}{unit}").expect("String"),
                }
            }
            Tree::And(trees) => Self::write_chain(trees, "&&", out, blank),
            Tree::Or(trees) => Self::write_chain(trees, "||", out, blank),
            Tree::Parentheses(tree) => {
                out.push('(');
                tree.write(out, blank);
                out.push(')');
            }
        }
    }

    fn write_chain(trees: &[Tree], sign: &str, out: &mut String, blank: &str) {
        for (index, tree) in trees.iter().enumerate() {
            if index > 0 {
                write!(out, "{blank}{sign}{blank}").expect("String");
            }
            tree.write(out, blank);
        }
    }

    fn holds(&self, values: &[Option<f64>]) -> bool {
        match self {
            Tree::And(trees) => !trees.iter().any(|tree| !tree.holds(values)),
            Tree::Or(trees) => trees.iter().any(|tree| tree.holds(values)),
            Tree::Parentheses(tree) => tree.holds(values),
            Tree::Test(left, operator, right, _) => {
                let left = match *left {
                    Term::Metric(index) => values[index],
                    Term::Constant(constant) => constant.map(f64::abs),
                };
                match (left, *operator, *right) {
                    (left, "==", None) => left.is_none(),
                    (left, "!=", None) => left.is_some(),
                    (None, _, Some(_)) => false,
                    (Some(left), "==", Some(right)) => left == right,
                    (Some(left), "!=", Some(right)) => left != right,
                    (Some(left), "<", Some(right)) => left < right,
                    (Some(left), "<=", Some(right)) => left <= right,
                    (Some(left), ">", Some(right)) => left > right,
                    (Some(left), ">=", Some(right)) => left >= right,
                    other => panic!("{other:?} was never made"),
                }
            }
        }
    }
}

fn trees() -> impl Strategy<Value = Tree> {
    // few numbers, so that equal ones meet
    let number = || prop_oneof![(-2..3_i32).prop_map(f64::from), Just(0.25), Just(1e15), Just(-1e-9)];
    let test = (
        prop_oneof![
            4 => (0..NAMES.len()).prop_map(Term::Metric),
            1 => proptest::option::of(number()).prop_map(Term::Constant),
        ],
        proptest::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]),
        proptest::option::weighted(0.7, number()),
        proptest::sample::select(vec!["", "%", "Gib", "µs", "nile"]),
    )
        .prop_filter("nil has no order", |(left, operator, right, _)| {
            matches!(*operator, "==" | "!=") || right.is_some() && !matches!(left, Term::Constant(None))
        })
        .prop_map(|(left, operator, right, unit)| Tree::Test(left, operator, right, unit));
    test.prop_recursive(5, 40, 4, |inner| {
        let wrapped = inner.clone().prop_map(|tree| match tree {
            Tree::Test(..) => tree,
            chain => Tree::Parentheses(chain.into()),
        });
        prop_oneof![
            inner.prop_map(|tree| Tree::Parentheses(tree.into())),
            proptest::collection::vec(wrapped.clone(), 2..4).prop_map(Tree::And),
            proptest::collection::vec(wrapped, 2..4).prop_map(Tree::Or),
        ]
    })
}

proptest! {
    #[test]
    fn the_compiled_form_decides_as_the_plain_tree_does(
        tree in trees(),
        blank in proptest::sample::select(vec!["", " ", "\n\t"]),
        values in proptest::collection::vec(
            proptest::option::of(prop_oneof![(-2..3_i32).prop_map(f64::from), Just(0.25), any::<f64>()])
                .prop_map(|value| value.filter(|value| value.is_finite())),
            NAMES.len(),
        ),
    ) {
        let mut text = String::new();
        tree.write(&mut text, blank);
        let expression = compile(&text).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let all: Vec<f64> = values.iter().map(|value| value.unwrap_or(f64::NAN)).collect();
        prop_assert_eq!(expression.holds(&all), tree.holds(&values), "{}", text);

        let again = compile(&expression.to_string()).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(again.to_string(), expression.to_string());
        prop_assert_eq!(again.metrics(), expression.metrics());
        prop_assert_eq!(again.holds(&all), tree.holds(&values));
    }

    #[test]
    fn no_text_makes_it_panic(text in "(\\PC|[a-c0-9 .()&|<>=!%-]|nil|\n){0,60}") {
        if let Err(error) = compile(&text) {
            prop_assert_eq!(error.to_string().lines().count(), 3);
            prop_assert!((1..=text.chars().count() + 1).contains(&error.column()));
        }
    }
}
