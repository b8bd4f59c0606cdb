/**
 * Normalises PCI addresses: the kernel prints `0000:3b:00`, NVML `00000000:3B:00.0`
 * (docs/reference/nvml.md#pitfalls). Pure.
 */
import { keepAnswers } from "./keep-answers.ts";

export type PciAddress = { domain: number; bus: number; device: number; function: number };

const ADDRESS = /^(?:PCI:)?(?:([0-9a-f]{1,8}):)?([0-9a-f]{2}):([0-9a-f]{2})(?:\.([0-9a-f]))?$/i;

/** Reads any spelling: domain of 1 to 8 digits or none (0), function or none (0). */
export function parsePci(text: string): PciAddress | null {
  const parts = ADDRESS.exec(text.trim());
  if (!parts) return null;
  const [, domain = "0", bus = "", device = "", fn = "0"] = parts;
  const address = {
    domain: Number.parseInt(domain, 16),
    bus: Number.parseInt(bus, 16),
    device: Number.parseInt(device, 16),
    function: Number.parseInt(fn, 16),
  };
  // PCI has 32 devices to a bus and 8 functions to a device.
  return address.device < 32 && address.function < 8 ? address : null;
}

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0");

/** `dddd:bb:dd.f`, lower case; a domain above ffff takes the digits it needs. */
export function formatPci(address: PciAddress): string {
  const { domain, bus, device } = address;
  return `${hex(domain, 4)}:${hex(bus, 2)}:${hex(device, 2)}.${address.function}`;
}

/** The project's spelling, or `null` if it is no address; memoised for the rounds. */
export const normalizePci = keepAnswers((text) => {
  const address = parsePci(text);
  return address ? formatPci(address) : null;
});
