/**
 * Reports InfiniBand and RoCE ports that are down, gone, slow or flapping. A port that was ever
 * active must be active; one that never was may have no cable. A configured number of ports takes
 * precedence.
 */
import { ConditionList } from "../probe/probe.ts";
import { nextWindow } from "../probe/window.ts";
import { type HostContext, type HostProbe, formatList, lookOf, unread } from "./probe.ts";
import type { PortMemory } from "./probe.ts";
import type { NetworkPort } from "./reading.ts";

/** Links train for minutes after a boot, longer behind a subnet manager. */
const GRACE_MS = 300_000;
/** A replaced cable or a restarting switch takes a link down once or twice. */
const FLAPS_PER_HOUR_MAX = 2;

const isActive = (port: NetworkPort) => port.state === "ACTIVE";

export const portProbe: HostProbe = {
  name: "network_port",
  reasons: ["port_down", "port_missing", "port_rate", "port_flap"],
  look({ ports, late }, memory, ctx) {
    if (ports === null) return unread(late.includes("port"));
    const active = ports.filter(isActive);
    const learned = remember(ports, memory.ports, ctx);
    const expected = ctx.expectedPorts ?? Object.keys(memory.ports).length;
    const complete = active.length >= expected;
    // With enough active ports, unlisted ones were renamed or exchanged.
    const listedNow = new Set(ports.map(({ name }) => name));
    const kept = Object.fromEntries(
      Object.entries(learned).filter(([name]) => !complete || listedNow.has(name)),
    );
    const host = new ConditionList("host", null);
    if (ctx.uptimeMs >= GRACE_MS && !complete) addAbsent(host, ports, memory.ports, expected);
    addSlow(host, active, memory.ports);
    addFlapping(host, ports, learned);
    if (ports.length === 0) return lookOf(host.all, { ports: kept }, "not_supported");
    return lookOf(host.all, { ports: kept }, "ok", `${active.length} of ${ports.length} active`);
  },
};

function remember(
  ports: readonly NetworkPort[],
  before: Readonly<Record<string, PortMemory>>,
  ctx: HostContext,
): Record<string, PortMemory> {
  const next: Record<string, PortMemory> = { ...before };
  for (const port of ports) {
    const known = before[port.name];
    if (known === undefined && !isActive(port)) continue;
    const best = Math.max(known?.gigabits ?? 0, isActive(port) ? (port.gigabits ?? 0) : 0);
    const window = known?.downed ?? null;
    const downed =
      port.linkDowned === null ? window : nextWindow(window, port.linkDowned, ctx.monoMs);
    next[port.name] = { gigabits: best === 0 ? null : best, downed };
  }
  return next;
}

function addAbsent(
  host: ConditionList,
  ports: readonly NetworkPort[],
  before: Readonly<Record<string, PortMemory>>,
  expected: number,
): void {
  const down = ports.filter((port) => before[port.name] !== undefined && !isActive(port));
  const here = new Set(ports.map(({ name }) => name));
  const missing = Object.keys(before).filter((name) => !here.has(name));
  const active = ports.filter(isActive).length;
  if (missing.length > 0) {
    const message = `network ports ${formatList(missing)} were active before and are gone`;
    const metrics = { active, expected, missing: missing.length };
    host.add("port_missing", "serious", message, { metrics, level: missing.length });
  }
  if (down.length > 0 || missing.length === 0) {
    const states = down.map(({ name, state, physical }) => `${name} (${state}, ${physical})`);
    const which = states.length > 0 ? `: down are ${formatList(states)}` : "";
    const message = `${active} of ${expected} network ports active${which}`;
    const metrics = { active, expected, down: down.length };
    host.add("port_down", "warning", message, { metrics, level: expected - active });
  }
}

function addSlow(
  host: ConditionList,
  active: readonly NetworkPort[],
  before: Readonly<Record<string, PortMemory>>,
): void {
  const reduced = active.flatMap(({ name, gigabits }) => {
    const best = before[name]?.gigabits ?? null;
    if (gigabits === null || best === null || gigabits >= best) return [];
    return [`${name} (${gigabits} of ${best} Gb/s)`];
  });
  if (reduced.length === 0) return;
  const message = `network ports below the rate they had: ${formatList(reduced)}`;
  const metrics = { ports: reduced.length };
  host.add("port_rate", "warning", message, { metrics, level: reduced.length });
}

function addFlapping(
  host: ConditionList,
  ports: readonly NetworkPort[],
  learned: Readonly<Record<string, PortMemory>>,
): void {
  const found = ports.flatMap(({ name }) => {
    const grown = learned[name]?.downed?.grown ?? 0;
    return grown > FLAPS_PER_HOUR_MAX ? [{ name, grown }] : [];
  });
  if (found.length === 0) return;
  const flaps = found.reduce((sum, { grown }) => sum + grown, 0);
  const each = found.map(({ name, grown }) => `${name} (${grown} times)`);
  const message = `links of network ports went down within an hour: ${formatList(each)}`;
  const metrics = { ports: found.length, flaps };
  host.add("port_flap", "warning", message, { metrics, level: Math.floor(Math.log2(flaps)) });
}
