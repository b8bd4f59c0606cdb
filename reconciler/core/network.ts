/** Networks in CIDR form, and whether an address is in one. Pure. */
import { isIP } from "node:net";
import { wordsOf } from "./address.ts";

type Network = { value: bigint; prefix: number };

const BITS = 128;
/** IPv4 addresses count as mapped ones (RFC 4291, section 2.5.5.2). */
const MAPPED_BITS = 96;

function valueOf(address: string): bigint | null {
  const [plain = ""] = address.split("%", 1);
  const words = wordsOf(isIP(plain) === 4 ? `::ffff:${plain}` : plain);
  return words?.reduce((sum, word) => (sum << 16n) | BigInt(word), 0n) ?? null;
}

/** `null` if it is not a network; an address alone is a network of one. */
export function parseNetwork(text: string): Network | null {
  const [, address = "", length] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const kind = isIP(address);
  const value = valueOf(address);
  if (kind === 0 || value === null) return null;
  const own = kind === 4 ? BITS - MAPPED_BITS : BITS;
  const given = Number(length ?? own);
  return given > own ? null : { value, prefix: given + BITS - own };
}

/** False for an empty or invalid address. */
export function isInNetworks(address: string, networks: readonly string[]): boolean {
  const value = valueOf(address);
  if (value === null) return false;
  return networks.some((text) => {
    const network = parseNetwork(text);
    if (network === null) return false;
    const rest = BigInt(BITS - network.prefix);
    return value >> rest === network.value >> rest;
  });
}

/** Addresses in a header; the rest of it is not looked at. */
const HOPS_MAX = 32;

/**
 * The caller's address behind trusted proxies: each adds the address of its peer on the right, so
 * the first one from the right that is no trusted proxy made the call. Empty if it is not known.
 */
export function callerBehind(
  peer: string,
  forwardedFor: string | null,
  proxies: readonly string[],
): string {
  if (forwardedFor === null || !isInNetworks(peer, proxies)) return peer;
  const hops = forwardedFor.split(",").slice(-HOPS_MAX).map(plainHop);
  for (const hop of hops.toReversed()) {
    if (hop === null) return "";
    if (!isInNetworks(hop, proxies)) return hop;
  }
  return hops[0] ?? peer;
}

/** `null` if it is no address; some proxies add a port. */
function plainHop(text: string): string | null {
  const bare = text.trim();
  const [, inner] = /^\[([^\]]+)\](?::\d+)?$/.exec(bare) ?? /^([\d.]+):\d+$/.exec(bare) ?? [];
  const address = inner ?? bare;
  return isIP(address) === 0 ? null : address;
}
