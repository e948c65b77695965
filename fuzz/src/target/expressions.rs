//! The expression of a condition.

use device_worker_ng::agent::expression::{Expression, MAX_LENGTH, MetricIndex};

use crate::promise;

pub(super) fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (expression, names) = match compile(&text) {
        Ok(compiled) => compiled,
        Err(error) => {
            promise::is_cause(&error.to_string());
            let most = text.chars().count() + 1;
            return assert!((1..=most).contains(&error.column()), "column {} of {most}", error.column());
        }
    };
    let shown = expression.to_string();
    promise::is_sentence(&shown);
    if shown.len() > MAX_LENGTH {
        return; // it has spaces that weren't written
    }
    let (again, names_again) = compile(&shown).unwrap_or_else(|error| panic!("{shown}\n{error}"));
    assert_eq!(again.to_string(), shown, "shown it is another");
    assert_eq!(names, names_again);
    let tests = |it: &Expression| format!("{:?}", it.tests());
    assert_eq!(tests(&expression), tests(&again));
    assert!(expression.metrics().windows(2).all(|pair| pair[0] < pair[1]));
    for seed in 0..8_u32 {
        let values: Vec<f64> = (0..names.len() as u32).map(|at| value(seed, at)).collect();
        assert_eq!(expression.holds(&values), again.holds(&values), "{shown} with {values:?}");
    }
}

fn value(seed: u32, at: u32) -> f64 {
    let values = [f64::NAN, 0.0, 1.0, -1.0, 20.0, 1e9, 0.5, 100.0];
    values[(seed.wrapping_mul(31).wrapping_add(at.wrapping_mul(seed | 1)) % 8) as usize]
}

type Compiled = (Expression, Vec<String>);

fn compile(text: &str) -> Result<Compiled, device_worker_ng::agent::expression::ExpressionError> {
    let mut names: Vec<String> = Vec::new();
    let expression = Expression::compile(text, &mut |name| {
        let at = names.iter().position(|known| known == name).unwrap_or_else(|| {
            names.push(name.to_owned());
            names.len() - 1
        });
        MetricIndex(at as u32)
    })?;
    Ok((expression, names))
}
