mod adoption;
mod architecture;
mod convergence;
mod events;
mod process;
mod standalone;
