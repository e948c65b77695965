mod adoption;
mod architecture;
mod convergence;
mod health;
mod pressure;
mod process;
mod standalone;
