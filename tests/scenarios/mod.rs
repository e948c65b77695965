mod adoption;
mod convergence;
mod process;
mod standalone;
