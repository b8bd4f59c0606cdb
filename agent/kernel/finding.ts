/** Stub: signatures only, the body follows. */
/** This machine's GPUs, by PCI address. Empty = not known (yet): nothing is called foreign then. */
export type GpuTable = readonly { index: number; uuid: string; pci: string }[];
