//! The files of rows that all contestants read.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use testbed::Result;

/// What a table of the bench looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Scalars and a document.
    Plain,
    /// The same and a vector, on which there is an HNSW index once the rows are loaded.
    Vectors,
}

impl Shape {
    /// Columns and their types, the primary key first.
    pub(super) fn columns(self) -> &'static [(&'static str, &'static str)] {
        const ALL: [(&str, &str); 6] = [
            ("id", "bigint"),
            ("a", "text"),
            ("n", "numeric"),
            ("j", "jsonb"),
            ("ts", "timestamptz"),
            ("e", "vector(3)"),
        ];
        match self {
            Self::Plain => &ALL[..5],
            Self::Vectors => &ALL,
        }
    }
}

/// What a contestant is asked to do, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Load,
    Nothing,
    OnePercent,
    Half,
}

impl Phase {
    pub(super) const ALL: [Self; 4] = [Self::Load, Self::Nothing, Self::OnePercent, Self::Half];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Nothing => "nothing changed",
            Self::OnePercent => "1 % changed",
            Self::Half => "half deleted",
        }
    }
}

/// The files of one size and shape.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
}

impl Files {
    /// Writes them below a folder.
    pub(super) fn write(folder: &Path, rows: u64, shape: Shape) -> Result<Self> {
        let folder = folder.join(format!("rows-{rows}-{shape:?}"));
        let failed = |e: std::io::Error| format!("cannot write below {}: {e}", folder.display());
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let this = Self { folder: folder.clone() };
        for phase in [Phase::Load, Phase::OnePercent, Phase::Half] {
            write(&this.of(phase), rows, shape, phase).map_err(failed)?;
        }
        Ok(this)
    }

    /// The file that makes a phase.
    pub(super) fn of(&self, phase: Phase) -> PathBuf {
        self.folder.join(match phase {
            Phase::Load | Phase::Nothing => "all.csv",
            Phase::OnePercent => "one_percent.csv",
            Phase::Half => "half.csv",
        })
    }
}

fn write(path: &Path, rows: u64, shape: Shape, phase: Phase) -> std::io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let names: Vec<&str> = shape.columns().iter().map(|(name, _)| *name).collect();
    writeln!(file, "{}", names.join(","))?;
    for id in 1..=rows {
        if phase == Phase::Half && id % 2 == 0 {
            continue;
        }
        let changed = if phase == Phase::OnePercent && id % 100 == 0 { " changed" } else { "" };
        write!(
            file,
            "{id},\"row {id} of the bench, with some words{changed}\",{}.{:02},\"{{\"\"n\"\":{id},\"\"tags\"\":[\"\"a\"\",\"\"b{}\"\"]}}\",\
             2024-01-01T{:02}:{:02}:{:02}+00:00",
            id * 7 % 100_003,
            id % 100,
            id % 17,
            id / 3600 % 24,
            id / 60 % 60,
            id % 60
        )?;
        if shape == Shape::Vectors {
            write!(file, ",\"[{},{}.5,{}]\"", id % 101, id % 997, id % 7919)?;
        }
        writeln!(file)?;
    }
    file.flush()
}
