/**
 * The pages Safety, Money, Events and Audit, and the actions of Safety. Each shows what the API's
 * views compute, and each action is a call of the API.
 */
import { sayFreezeEffect } from "../../../schema/safety.ts";
import { html } from "hono/html";
import { parseDuration } from "../../../schema/duration.ts";
import { EVENT_KINDS, type EventKind } from "../../../schema/event.ts";
import { auditPage } from "../page/audit.ts";
import { say } from "../page/cell.ts";
import { eventsPage } from "../page/events.ts";
import { moneyPage } from "../page/money.ts";
import type { Html } from "../page/page.ts";
import { safetyPage, sayEnd } from "../page/safety.ts";
import { viewCost } from "../view/cost.ts";
import { viewPlan } from "../view/explain.ts";
import { groupWaits, type WaitGroup } from "../view/wait.ts";
import { viewEvent } from "./admin.ts";
import type { RoutePorts } from "./route.ts";
import { auditOf, readRecords } from "./audit.ts";
import { spanOf } from "./cost.ts";
import { invalid } from "./request.ts";
import { viewSafetyOf } from "./safety.ts";
import type { ActionRoute, Asked, PageRoute } from "./site.ts";
import type { SimulationPorts } from "./simulation.ts";

const EVENTS_ROWS = 100;

function waitsOf({ reconciler }: RoutePorts): WaitGroup[] {
  return groupWaits(viewPlan(reconciler.lastPlan(), [], null).waits);
}

/** `24h` before now, or an RFC 3339 time; `null` = not given. */
function sinceOf(name: string, given: string | null, now: number): number | null {
  if (given === null) return null;
  const span = /^\d{4}-/.test(given) ? null : parseDuration(given);
  const at = span === null ? Date.parse(given) : span.ok ? now - span.ms : Number.NaN;
  if (!Number.isNaN(at)) return at;
  return invalid(`${name}: expected a duration, such as 24h, or an RFC 3339 time`);
}

async function buildEvents(asked: Asked, { store, clock }: RoutePorts) {
  const [node, pool, kind] = [asked.query("node"), asked.query("pool"), asked.query("kind")];
  const [since, q, before] = [asked.query("since"), asked.query("q"), asked.query("before")];
  if (before !== null && !/^\d{1,15}$/.test(before)) return invalid("before: expected a number");
  if (kind !== null && !isKind(kind)) return invalid(`kind: ${kind} is no kind of event`);
  const events = await store.events({
    ...{ node, pool, kind, text: q, after: null },
    since: sinceOf("since", since, clock.wallMs()),
    before: before === null ? null : Number(before),
    limit: EVENTS_ROWS + 1,
  });
  const shown = events.reverse().slice(0, EVENTS_ROWS);
  const next = events.length > EVENTS_ROWS ? String(shown.at(-1)?.id ?? 1) : null;
  const filters = { node, pool, kind, since, q };
  return eventsPage({ events: shown.map(viewEvent), filters, before, next });
}

const isKind = (text: string): text is EventKind => EVENT_KINDS.some((one) => one === text);

const reasonField = (required: boolean): Html => html`<label>Reason, shown to other operators
  <input type="text" name="reason" maxlength="1024"${required ? html` required` : ""}></label>`;

/** Where the fleet is frozen already, another freeze takes the place of that one. */
function sayFrozen(ports: SimulationPorts): Html {
  const { frozen } = viewSafetyOf(ports);
  if (frozen === null) return html``;
  return html`<p><b>The fleet is frozen already</b> by ${say(frozen.by)} ${sayEnd(frozen)}:
    ${say(frozen.why)}. This freeze takes its place, with its own reason and end.</p>`;
}

const FILTERS = ["actor", "verb", "object", "result", "since", "until"] as const;
const TO_SAFETY = { nav: "/safety", back: "/safety" } as const;

type OverviewPorts = SimulationPorts & { bootAt: number };

export const overviewPages: readonly PageRoute<OverviewPorts>[] = [
  {
    path: "/safety",
    role: "viewer",
    label: "Safety",
    build: ({ role }, ports) =>
      safetyPage({ view: viewSafetyOf(ports), waits: waitsOf(ports), role }),
  },
  {
    path: "/money",
    role: "viewer",
    label: "Money",
    build(asked, ports) {
      const now = ports.clock.wallMs();
      const { reconciler } = ports;
      const month = asked.query("month");
      if (month !== null && !/^\d{4}-(?:0[1-9]|1[0-2])$/.test(month)) {
        return invalid("month: expected YYYY-MM");
      }
      const span = spanOf(month === null ? {} : { month }, now);
      const from = { fleet: reconciler.fleet(), config: reconciler.activeConfig(), now };
      const cost = viewCost(from, span);
      return moneyPage({ cost, safety: viewSafetyOf(ports), waits: waitsOf(ports) });
    },
  },
  {
    path: "/events",
    role: "viewer",
    label: "Events",
    build: (asked, ports) => buildEvents(asked, ports),
  },
  {
    path: "/audit",
    act: ["get", "audit"],
    role: "admin",
    internal: true,
    label: "Audit",
    async build(asked, ports) {
      const from = auditOf(ports);
      const { clock } = ports;
      const filters = Object.fromEntries(
        FILTERS.map((name) => [name, asked.query(name)]),
      ) as Record<(typeof FILTERS)[number], string | null>;
      const cursor = asked.query("cursor");
      const query: Record<string, string> = { limit: "100" };
      for (const [name, value] of Object.entries({ ...filters, cursor })) {
        if (value !== null) query[name] = value;
      }
      const period = { since: filters.since, until: filters.until };
      for (const name of ["since", "until"] as const) {
        const at = query[name] === "boot" ? null : sinceOf(name, filters[name], clock.wallMs());
        if (at === null) continue;
        query[name] = new Date(at).toISOString();
        // To the minute, so that a page that is live does not change all the time.
        period[name] = new Date(Math.floor(at / 60_000) * 60_000).toISOString();
      }
      const { rows, next } = await readRecords(query, from);
      const older = next === null ? null : String(next);
      return auditPage({ rows, filters, cursor, next: older, period });
    },
  },
];

export const safetyActions: readonly ActionRoute<SimulationPorts>[] = [
  {
    path: "/safety/freeze",
    role: "operator",
    confirm: (_asked, ports) => ({
      ...TO_SAFETY,
      title: "Freeze the fleet",
      body: html`<p>In every pool: ${sayFreezeEffect(false)} Instances that run stay billed.
        Workloads are not touched.</p>${sayFrozen(ports)}`,
      fields: html`${reasonField(true)}
        <label><input type="checkbox" name="all" value="true"> Stop cordons too:
        ${sayFreezeEffect(true)}</label>
        <label>For (such as 24h; empty: until somebody unfreezes)
        <input type="text" name="for" maxlength="20"></label>`,
      button: "Freeze the fleet",
    }),
    async run(_asked, form, call) {
      const span = (form.get("for") ?? "").trim();
      const all = form.get("all") === "true" ? { all: true } : {};
      const reason = form.get("reason") ?? "";
      const body = { reason, ...all, ...(span === "" ? {} : { for: span }) };
      await call("PUT", "/v1/safety/freeze", body);
      return { notice: "The fleet is frozen.", to: "/safety" };
    },
  },
  {
    path: "/safety/unfreeze",
    role: "operator",
    confirm: () => ({
      ...TO_SAFETY,
      title: "Unfreeze the fleet",
      body: html`<p>Automation goes on at once: repairs that wait may drain, reboot, buy and
        terminate within their budgets.</p>`,
      fields: reasonField(false),
      button: "Unfreeze the fleet",
    }),
    async run(_asked, form, call) {
      await call("DELETE", "/v1/safety/freeze", { reason: form.get("reason") ?? "" });
      return { notice: "The fleet is not frozen any more.", to: "/safety" };
    },
  },
  {
    path: "/safety/rule/:rule/trust",
    role: "operator",
    confirm: (asked) => ({
      ...TO_SAFETY,
      title: `Trust rule ${asked.param("rule")}`,
      body: html`<p>The rule ${say(asked.param("rule"))} counts again, and the circuit breaker does
        not suspend this version of it any more. Nodes that it judges unhealthy are cordoned and
        repaired within their budgets.</p>`,
      fields: reasonField(true),
      button: "Trust the rule",
      danger: true,
    }),
    async run(asked, form, call) {
      const rule = asked.param("rule");
      const path = `/v1/safety/trusted/${encodeURIComponent(rule)}`;
      await call("PUT", path, { reason: form.get("reason") ?? "" });
      return { notice: `Rule ${rule} counts again.`, to: "/safety" };
    },
  },
  {
    path: "/safety/gpu/:uuid/forgive",
    role: "operator",
    confirm: (asked) => ({
      ...TO_SAFETY,
      title: `Forgive GPU ${asked.param("uuid")}`,
      body: html`<p>A machine with GPU ${say(asked.param("uuid"))} may serve again. Do this after
        the hardware was repaired or exchanged: its failures are forgotten.</p>`,
      fields: reasonField(true),
      button: "Forgive the GPU",
    }),
    async run(asked, form, call) {
      const uuid = asked.param("uuid");
      const path = `/v1/safety/lemons/${encodeURIComponent(uuid)}`;
      await call("DELETE", path, { reason: form.get("reason") ?? "" });
      return { notice: `GPU ${uuid} is forgiven.`, to: "/safety" };
    },
  },
];
