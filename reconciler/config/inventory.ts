/**
 * Reads an inventory of owned machines: a file with `hosts`, or the setting `hosts` of a provider.
 * An inventory with an error is refused as a whole, because half of it would drop machines.
 */
import { isIP } from "node:net";
import type { Problem } from "../../schema/config.ts";
import { POOL_NAME } from "../../schema/id.ts";
import { LIMIT } from "../../schema/limit.ts";
import { type InventoryHost, placeOfHost } from "../core/inventory.ts";
import { locate, type SourceText } from "./locate.ts";
import { collectProblems, type Place, type Problems, quoteShort } from "./problem.ts";
import { readSection, type Section } from "./section.ts";
import type { Tree } from "./tree.ts";

export type InventoryRead = { hosts: InventoryHost[] | null; problems: Problem[] };

/** Parts of `host[:port]`, an IPv6 address with a port in brackets. */
const BRACKETED = /^\[([^\]]+)\](?::(\d+))?$/;
const PLAIN = /^([^:]+)(?::(\d+))?$/;
const IPV6 = /^([0-9a-fA-F:.]+)$/;
const DNS_LABEL = /^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?$/;
const DNS_CHARS_MAX = 253;
const HOST_KEY = /^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/]+={0,2}( .*)?$/;

/** `hosts` is `null` if any problem is an error. */
export function readInventory(file: SourceText): InventoryRead {
  const problems = collectProblems([file.name]);
  const tree = locate(file, problems);
  if (tree === null) return { hosts: null, problems: problems.list() };
  const root = readSection(problems, tree, "", tree.at, () => null);
  const items = root.items("hosts");
  if (root.given && items === null && !root.has("hosts")) {
    root.missing("hosts", "a list with at least one host");
  }
  if (items?.length === 0) root.fail("hosts", "required", "the inventory has no hosts");
  if (items !== null && items.length > LIMIT.nodesMax) {
    root.fail("hosts", "limit", `has more than ${LIMIT.nodesMax} hosts`);
  }
  root.finish();
  const found = (items ?? []).slice(0, LIMIT.nodesMax).flatMap((item) => readHost(problems, item));
  refuseRepeats(problems, found);
  const hosts = problems.failed() ? null : found.map(({ host }) => host);
  return { hosts, problems: problems.list() };
}

type Found = { host: InventoryHost; at: Place; path: string };

const BARE: Omit<InventoryHost, "name" | "address"> = {
  port: null,
  user: null,
  keyPath: null,
  hostKeys: [],
  region: null,
  zone: null,
  rack: null,
  instanceType: null,
};

/** `[user@]host[:port]`; a text is why it is none. */
export function parseHost(text: string): InventoryHost | string {
  const at = text.indexOf("@");
  const user = at < 0 ? null : text.slice(0, at);
  const place = user === "" || /\s/.test(text) ? "" : text.slice(at + 1);
  const [, address, digits] = BRACKETED.exec(place) ?? PLAIN.exec(place) ?? IPV6.exec(place) ?? [];
  const why = address === undefined ? "is not [user@]host[:port]" : whyNoAddress(address);
  if (address === undefined || why !== null) return why ?? "";
  const port = digits === undefined ? null : Number(digits);
  if (port !== null && (port < 1 || port > 65_535)) return `port ${port} is not from 1 to 65535`;
  return { ...BARE, name: address, address, port, user };
}

function whyNoAddress(address: string): string | null {
  const looksLikeIp = /^[\d.]+$/.test(address) || address.includes(":");
  const isName = address.split(".").every((label) => DNS_LABEL.test(label));
  const isFine = looksLikeIp ? isIP(address) !== 0 : isName && address.length <= DNS_CHARS_MAX;
  if (isFine) return null;
  return `${quoteShort(address)} is not an IP address or DNS name`;
}

function readHost(problems: Problems, item: Tree): Found[] {
  if (item.kind === "scalar" && item.value !== null) {
    const host = parseHost(item.source);
    if (typeof host !== "string") return [{ host, at: item.at, path: item.path }];
    problems.error(item.at, item.path, "host", host);
    return [];
  }
  const section = readSection(problems, item, item.path, item.at, () => null);
  if (!section.given) return [];
  const address = section.text("address");
  if (!section.has("address")) section.missing("address", "an IP address or DNS name");
  const why = address === null ? null : whyNoAddress(address);
  if (why !== null) section.fail("address", "host", why);
  const name = section.text("name") ?? address ?? "";
  if (section.has("name") && !POOL_NAME.test(name)) {
    const hint = "1 to 63 of A-Z a-z 0-9 . _ - with a letter or digit at both ends";
    section.fail("name", "name", `${quoteShort(name)} is not a host name`, hint);
  }
  const host: InventoryHost = {
    name,
    address: address ?? "",
    port: section.integer("port", { min: 1, max: 65_535 }),
    user: section.text("user"),
    keyPath: section.text("private_key_path"),
    hostKeys: readKeys(section),
    region: section.text("region"),
    zone: section.text("zone"),
    rack: section.text("rack"),
    instanceType: section.text("instance_type"),
  };
  section.finish();
  return [{ host, at: section.at, path: section.path }];
}

/** One key or several, as in `/etc/ssh/ssh_host_*_key.pub`. */
function readKeys(section: Section): string[] {
  const one = section.look("host_key")?.value.kind === "scalar";
  const text = one ? section.text("host_key") : null;
  const keys = one ? (text === null ? [] : [text]) : (section.texts("host_key") ?? []);
  const bad = keys.find((key) => !HOST_KEY.test(key.trim()));
  if (bad !== undefined) {
    const hint = "write a line of /etc/ssh/ssh_host_ed25519_key.pub: ssh-ed25519 AAAA…";
    section.fail("host_key", "host_key", `${quoteShort(bad)} is not a public host key`, hint);
  }
  return keys.map((key) => key.trim());
}

/** One machine listed twice would be claimed twice. */
function refuseRepeats(problems: Problems, found: readonly Found[]): void {
  const names = new Map<string, Found>();
  const places = new Map<string, Found>();
  for (const one of found) {
    const { name, address } = one.host;
    const namesake = names.get(name.toLowerCase());
    const neighbour = places.get(placeOfHost(one.host));
    names.set(name.toLowerCase(), namesake ?? one);
    places.set(placeOfHost(one.host), neighbour ?? one);
    const first = namesake ?? neighbour;
    if (first === undefined || address === "") continue;
    const what =
      namesake === undefined
        ? `address ${address} is already that of ${first.host.name}`
        : `host ${quoteShort(name)} is listed twice`;
    problems.error(one.at, one.path, "duplicate_name", what, `first in line ${first.at.line}`);
  }
}
