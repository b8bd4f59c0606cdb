/**
 * What things are called on the computer that machines run on: one bed is a network of 254
 * addresses, and everything it makes there (interfaces, network namespaces, cgroups) carries the
 * bed's prefix, so that it can be found again and nobody else's is ever touched. Pure.
 */
export type Place = {
  /** Third octet of the network; one bed on a computer has it. */
  number: number;
  /** Its first three octets: `10.77.5`. */
  network: string;
  /** Before the name of everything the bed makes, and the name of the computer's own link to it. */
  prefix: string;
  /** Network namespace with the bridge that joins all machines. */
  hub: string;
  /** Where machines reach the computer that they run on, and so the control plane. */
  gateway: string;
};

/** What one machine of a bed is called. */
export type Spot = {
  /** Last octet of its address. */
  number: number;
  address: string;
  /** Its network namespace, and its cgroup in every tree. */
  name: string;
  /** The hub's end of its cable; an interface name holds 15 characters (IFNAMSIZ). */
  link: string;
};

/** Addresses below are the gateway's and the hub's. */
const FIRST = 10;

/** How many machines one bed can have: far more than one computer should carry. */
export const MACHINES_MAX = 240;

/** In the private range of RFC 1918 §3, at a place where few networks are. */
export const DEFAULT_NETWORK = "10.77";

export function placeOf(base: string, number: number): Place {
  const prefix = `nvm${number}`;
  const network = `${base}.${number}`;
  return { number, network, prefix, hub: `${prefix}-hub`, gateway: `${network}.1` };
}

/** The place of the machine with the `ordinal`-th turn, from 0: turns go round. */
export function spotOf(place: Place, ordinal: number): Spot {
  const number = FIRST + (ordinal % MACHINES_MAX);
  return {
    number,
    address: `${place.network}.${number}`,
    name: `${place.prefix}-${number}`,
    link: `v${number}`,
  };
}

export type Network = { base: string; number: number | null };

/**
 * `10.77` lets the bed choose a third octet that is free; `10.77.5` is that network or none. `null`
 * if it is neither, or not private.
 */
export function parseNetwork(text: string): Network | null {
  const parts = text.split(".");
  if (parts.length < 2 || parts.length > 3) return null;
  const octets = parts.map((part) => (/^(0|[1-9]\d{0,2})$/.test(part) ? Number(part) : 256));
  const [a = 256, b = 256, c = null] = octets;
  if (octets.some((octet) => octet > 255)) return null;
  const isPrivate = a === 10 || (a === 172 && b >= 16 && b <= 31) || (a === 192 && b === 168);
  return isPrivate ? { base: `${a}.${b}`, number: c } : null;
}
