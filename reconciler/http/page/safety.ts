/**
 * The page `/safety`: what stops or slows automation, why, and how much of each limit is used.
 * Shows what `GET /v1/safety` and `GET /v1/plan` answer. Pure.
 */
import { html } from "hono/html";
import type { HoldView, SafetyView } from "../../../schema/api.ts";
import { type WaitGroup, waitKeyOf } from "../view/wait.ts";
import type { Block, Html, Page, ReaderRole, Row } from "./page.ts";
import { formatTone } from "./kit.ts";
import { idOf, mayAct, pathOf, say, sayAction, sayCount } from "./cell.ts";
import { sayAge, sayNode, sayPool, sayTime } from "./cell.ts";
import { billedBlock } from "./billed.ts";

/** Rows about waits; `navarch plan` has the rest. */
const WAITS_MAX = 100;
/** Nodes named in a row about many. */
const NAMED_MAX = 3;

export type SafetyPageFrom = {
  view: SafetyView;
  waits: readonly WaitGroup[];
  role: ReaderRole;
};

export function safetyPage({ view, waits, role }: SafetyPageFrom): Page {
  const acts = mayAct(role);
  return {
    title: "Safety",
    nav: "/safety",
    blocks: [
      stateBlock(view, acts),
      holdsBlock(view),
      breakersBlock(view),
      budgetsBlock(view),
      waitsBlock(waits),
      rulesBlock(view, acts),
      gpusBlock(view, acts),
      placesBlock(view),
      billedBlock(view.still_billed),
      providersBlock(view),
    ],
  };
}

function stateBlock(view: SafetyView, acts: boolean): Block {
  const { frozen, broken, blind, degraded = [], simulation = [] } = view;
  const lines: Html[] = [];
  if (frozen !== null) {
    lines.push(html`<strong>Frozen</strong> by ${say(frozen.by)} ${sayEnd(frozen)}:
      ${say(frozen.why)}. ${frozen.effect}`);
  }
  if (broken !== null) lines.push(html`<strong>Stopped</strong>: ${say(broken)}`);
  for (const { why } of degraded) lines.push(html`<strong>Degraded</strong>: ${say(why)}`);
  for (const why of blind) lines.push(html`<strong>Observations unreliable</strong>: ${say(why)}`);
  for (const { provider, failure } of simulation) {
    lines.push(html`Provider ${say(provider)} fails on purpose (${say(failure.class)}) until
      ${sayTime(failure.until)}`);
  }
  const state =
    lines.length === 0
      ? html`<p>${formatTone("ok", "Automation runs")}; nothing stops the whole fleet.</p>`
      : html`<p>${formatTone("warn", "Automation is stopped or limited")}</p>
        <ul>${lines.map((line) => html`<li>${line}</li>`)}</ul>`;
  const act =
    frozen === null
      ? sayAction("/safety/freeze", "Freeze", "the fleet")
      : sayAction("/safety/unfreeze", "Unfreeze", "the fleet");
  const rate = view.failure_rate.toFixed(1);
  const body = html`${state}
    <p>Learned hardware failures: ${rate} per 1,000 node-days.</p>
    ${acts ? html`<p>${act}</p>` : ""}`;
  return { id: "state", heading: "State", kind: "text", body };
}

export function sayEnd({ until }: HoldView): Html {
  return until === null ? html`without an end` : html`until ${sayTime(until)}`;
}

function holdsBlock({ holds }: SafetyView): Block {
  return {
    id: "holds",
    heading: "Held pools",
    kind: "table",
    above: null,
    columns: [{ name: "Pool" }, { name: "By" }, { name: "Reason" }, { name: "Until" }],
    rows: holds.map(({ pool, by, why, until }) => ({
      id: idOf("hold", pool),
      tone: "warn",
      cells: [sayPool(pool), say(by), say(why), sayAge(until)],
    })),
    empty: "No pool is held.",
    below: null,
  };
}

function breakersBlock({ breakers }: SafetyView): Block {
  return {
    id: "breakers",
    heading: "Circuit breakers",
    kind: "table",
    above: null,
    columns: [
      { name: "Scope" },
      { name: "State" },
      { name: "Since" },
      { name: "Why" },
      { name: "Shared cause" },
    ],
    rows: breakers.map(({ scope, state, since, why, cause }) => ({
      id: idOf("breaker", scope),
      tone: state === "open" ? "bad" : "warn",
      cells: [
        say(scope),
        formatTone(state === "open" ? "bad" : "warn", state),
        sayAge(since),
        say(why),
        say(cause === null ? null : `${cause.attribute} ${cause.value}`),
      ],
    })),
    empty: "All breakers are closed.",
    below: null,
  };
}

/** Kinds without a node are told too: they are the rule. */
function sayUncounted(uncounted: SafetyView["uncounted"]): Html | null {
  if (uncounted === undefined) return null;
  const each = uncounted.map(({ what, nodes }) => `${what} (${nodes})`).join("; ");
  return html`<p class="soft">The step isolate does not count: ${each}.</p>`;
}

function budgetsBlock({ budgets, uncounted }: SafetyView): Block {
  return {
    id: "budgets",
    heading: "Disruption budgets",
    kind: "table",
    above: null,
    columns: [
      { name: "Scope" },
      { name: "Repair step" },
      { name: "Out now", align: "right" },
      { name: "At most", align: "right" },
    ],
    rows: budgets.map(({ scope, rung, used, max }) => ({
      id: idOf("budget", scope, rung),
      tone: used === 0 ? "ok" : used < max ? "busy" : "warn",
      cells: [
        say(scope),
        say(rung),
        used < max || max === 0 ? sayCount(used) : formatTone("warn", String(used)),
        sayCount(max),
      ],
    })),
    empty: "No pool is configured.",
    below: sayUncounted(uncounted),
  };
}

/** Waits that a person can end come first. */
function waitsBlock(waits: readonly WaitGroup[]): Block {
  const rows = waits.slice(0, WAITS_MAX).map((wait): Row => {
    const { reason, message, until } = wait;
    return {
      id: idOf("wait", waitKeyOf(wait)),
      cells: [sayWaiting(wait), say(reason), say(message), sayAge(until)],
    };
  });
  const more = waits.length - rows.length;
  return {
    id: "waits",
    heading: "Held back",
    kind: "table",
    above: null,
    columns: [{ name: "Waiting" }, { name: "Reason" }, { name: "Why" }, { name: "Next decision" }],
    rows,
    empty: "Nothing waits.",
    below: more === 0 ? null : html`<p>${more} more: run <code>navarch plan</code>.</p>`,
  };
}

export function sayWaiting({ pool, nodes }: WaitGroup): Html {
  if (nodes.length === 0) return html`pool ${sayPool(pool)}`;
  const named = nodes.slice(0, NAMED_MAX).map((node, at) => {
    return html`${at === 0 ? "" : ", "}${sayNode(node)}`;
  });
  const more = nodes.length - NAMED_MAX;
  return html`${named}${more > 0 ? ` and ${more} more` : ""}`;
}

function rulesBlock({ quarantined }: SafetyView, acts: boolean): Block {
  return {
    id: "rules",
    heading: "Suspended rules",
    kind: "table",
    above: null,
    columns: [
      { name: "Rule" },
      { name: "Since" },
      { name: "Why" },
      ...(acts ? [{ name: "Action" }] : []),
    ],
    rows: quarantined.map(({ rule, at, why }) => ({
      id: idOf("rule", rule),
      tone: "warn",
      cells: [
        say(rule),
        sayAge(at),
        say(why),
        ...(acts ? [sayAction(pathOf(["safety", "rule", rule, "trust"]), "Trust", rule)] : []),
      ],
    })),
    empty: "No rule is suspended.",
    below: null,
  };
}

function gpusBlock({ lemons }: SafetyView, acts: boolean): Block {
  const { count, refused, newest } = lemons;
  const more = count - newest.length;
  const total = html`<p>${count} quarantined, ${refused} times refused when returned${
    more > 0 ? `; the newest ${newest.length} are shown` : ""
  }.</p>`;
  return {
    id: "gpus",
    heading: "Quarantined GPUs",
    kind: "table",
    above: count === 0 ? null : total,
    columns: [
      { name: "GPU" },
      { name: "Why" },
      { name: "Last failure" },
      { name: "Nodes" },
      { name: "Place" },
      { name: "Refused", align: "right" },
      ...(acts ? [{ name: "Action" }] : []),
    ],
    rows: newest.map(({ uuid, because, last_at: at, nodes, provider, place, refused: times }) => ({
      id: idOf("gpu", uuid),
      tone: "bad",
      cells: [
        say(uuid),
        say(because),
        sayAge(at),
        html`${nodes.map((node, index) => html`${index === 0 ? "" : ", "}${sayNode(node)}`)}`,
        say(place === "" ? provider : place),
        sayCount(times),
        ...(acts ? [sayAction(pathOf(["safety", "gpu", uuid, "forgive"]), "Forgive", uuid)] : []),
      ],
    })),
    empty: "No GPU is quarantined.",
    below: null,
  };
}

function placesBlock({ suspects }: SafetyView): Block {
  return {
    id: "places",
    heading: "Places where new nodes do not come up",
    kind: "table",
    above: null,
    columns: [
      { name: "Place" },
      { name: "Pool" },
      { name: "Failed in a row", align: "right" },
      { name: "Next try" },
    ],
    rows: suspects.map(({ pool, place, failures, next_try: next }) => ({
      id: idOf("place", pool, place),
      tone: "warn",
      cells: [
        say(place),
        sayPool(pool),
        sayCount(failures),
        next === null ? html`now, one at a time` : sayAge(next),
      ],
    })),
    empty: "New nodes come up everywhere.",
    below: null,
  };
}

function providersBlock({ providers }: SafetyView): Block {
  return {
    id: "providers",
    heading: "Providers",
    kind: "table",
    above: null,
    columns: [{ name: "Provider" }, { name: "Purchases" }, { name: "State" }],
    rows: providers.map(({ name, class: kind, guarantee, unavailable, trouble = null }) => {
      const why = unavailable ?? trouble;
      return {
        id: idOf("provider", name),
        tone: why === null ? "ok" : "warn",
        cells: [
          say(name),
          say(`${guarantee} (${kind})`),
          formatTone(why === null ? "ok" : "warn", why ?? "usable"),
        ],
      };
    }),
    empty: "No provider was asked yet.",
    below: null,
  };
}
