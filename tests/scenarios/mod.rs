mod adoption;
mod architecture;
mod convergence;
mod process;
mod standalone;
