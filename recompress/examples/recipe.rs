//! Which recipe makes these gzip files? One line for each: the recipe, or that there is none.
//!
//! `cargo run --release -p ferry-recompress --example recipe -- layer.tar.gz …`
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::fs::File;
use std::time::Instant;

use ferry_recompress::find_recipe;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for path in std::env::args_os().skip(1) {
        let start = Instant::now();
        let found = find_recipe(|| File::open(&path))?;
        let seconds = start.elapsed().as_secs_f64();
        let name = path.display();
        match found {
            Some(recipe) => {
                let (encoder, level, writes) = (recipe.encoder.name(), recipe.level, recipe.writes);
                println!("{name}: {encoder} level {level}, writes {writes:?}, {seconds:.1} s");
            }
            None => println!("{name}: no encoder here makes it, {seconds:.1} s"),
        }
    }
    Ok(())
}
