mod adoption;
mod architecture;
mod convergence;
mod health;
mod process;
mod secrets;
mod standalone;
