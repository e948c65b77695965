mod adoption;
mod architecture;
mod convergence;
mod pressure;
mod process;
mod standalone;
