/** Pages from values: what a reader of each role sees, and that foreign text stays text. */
import { expect, test } from "bun:test";
import type { SafetyView } from "../../../schema/api.ts";
import type { AuditRecord } from "../../../schema/audit.ts";
import type { CostRow, CostView } from "../../../schema/cost-view.ts";
import { auditPage } from "./audit.ts";
import { idOf } from "./cell.ts";
import { eventsPage } from "./events.ts";
import { moneyPage } from "./money.ts";
import type { Page } from "./page.ts";
import { safetyPage } from "./safety.ts";

const AT = "2026-11-23T12:00:00.000Z";
const EVIL = '<script>alert("x")</script>\u202egpj\u0007';

/** All HTML of a page. Fails if an id is twice or no id. */
async function render(page: Page): Promise<string> {
  const ids = page.blocks.flatMap((block) => [
    block.id,
    ...(block.kind === "table" ? block.rows.map(({ id }) => id) : []),
  ]);
  expect(ids.filter((id) => /[\s"<>]/.test(id))).toEqual([]);
  expect(ids.length).toBe(new Set(ids).size);
  const parts = page.blocks.flatMap((block) => {
    if (block.kind === "text") return [block.body];
    for (const row of block.rows) expect(row.cells).toHaveLength(block.columns.length);
    return [block.above ?? "", ...block.rows.flatMap(({ cells }) => cells), block.below ?? ""];
  });
  return (await Promise.all(parts)).join("\n");
}

function safety(change: Partial<SafetyView> = {}): SafetyView {
  return {
    ...{ frozen: null, blind: [], broken: null, holds: [], breakers: [], quarantined: [] },
    ...{ suspects: [], budgets: [], bills: [], failure_rate: 0.5, waits: {}, providers: [] },
    still_billed: { count: 0, per_hour: 0, unknown_prices: 0, oldest: [] },
    lemons: { count: 0, refused: 0, newest: [] },
    ...change,
  };
}

const full = safety({
  frozen: { by: EVIL, why: EVIL, at: AT, until: null, all: false, effect: "" },
  blind: [EVIL],
  broken: EVIL,
  holds: [{ pool: "train", by: "ann", why: EVIL, at: null, until: AT }],
  breakers: [{ scope: "pool:train", state: "open", since: AT, why: EVIL, cause: null }],
  quarantined: [{ rule: "xid/48@1", at: AT, why: EVIL }],
  suspects: [{ pool: "train", place: EVIL, failures: 3, next_try: null }],
  budgets: [{ scope: "fleet", rung: "drain", used: 1, max: 1 }],
  lemons: {
    count: 21,
    refused: 2,
    newest: [
      {
        ...{ uuid: "GPU-1", because: EVIL, last_at: AT, nodes: ["n-1", "n-2"] },
        ...{ provider: "aws", place: EVIL, refused: 2 },
      },
    ],
  },
  providers: [
    { name: "aws", class: "token", guarantee: "exactly-once", unavailable: EVIL, trouble: null },
  ],
});
const waits = [
  {
    ...{ pool: "train", reason: "budget", message: EVIL, until: AT },
    nodes: ["n-1", "n-2", "n-3", "n-4", "n-5"],
  },
  { pool: "train", reason: "spend", message: "over $100.00/h", until: null, nodes: [] },
];

test("C24: text of strangers stays text on every page, and is not turned around", async () => {
  const pages = [
    safetyPage({ view: full, waits, role: "operator" }),
    moneyPage({ cost: cost(), safety: full, waits }),
    eventsPage({
      ...{ filters: { ...NO_EVENTS, q: EVIL, kind: EVIL }, before: null, next: "5" },
      events: [
        {
          ...{ id: 7, at: AT, kind: "node.silent", node_id: EVIL, pool: EVIL },
          ...{ session_id: EVIL, actor: EVIL, message: EVIL },
        },
      ],
    }),
    auditPage({ rows: [record(EVIL)], filters: { ...NO_AUDIT, actor: EVIL }, ...ONE_PAGE }),
  ];
  for (const page of pages) {
    const shown = await render(page);
    expect(shown.replace(/<script src="\/asset\/[^"]+" defer>/, "")).not.toContain("<script");
    expect(shown.replace(/ value="[^"]*"/g, "")).not.toMatch(/[\u202e\u0007]/);
    expect(shown).not.toMatch(/ (?:style|on\w+)=/);
  }
});

test("a viewer sees no action, an operator sees those that make sense now", async () => {
  const seen = async (view: SafetyView, role: "viewer" | "operator"): Promise<string[]> => {
    const html = await render(safetyPage({ view, waits: [], role }));
    const links = [...html.matchAll(/href="(\/safety\/[^"]+)"/g)];
    return links.map(([, href = ""]) => href);
  };
  expect(await seen(full, "viewer")).toEqual([]);
  expect(await seen(safety(), "viewer")).toEqual([]);
  expect(await seen(safety(), "operator")).toEqual(["/safety/freeze"]);
  expect(await seen(full, "operator")).toEqual([
    "/safety/unfreeze",
    "/safety/rule/xid%2F48%401/trust",
    "/safety/gpu/GPU-1/forgive",
  ]);
});

test("a wait of many nodes is one row that names some of them", async () => {
  const html = await render(safetyPage({ view: safety(), waits, role: "viewer" }));
  expect(html).toContain(">n-3</a> and 2 more");
  expect(html).toContain('pool <a href="/fleet/pool/train">train</a>');
  const page = safetyPage({ view: full, waits: [], role: "viewer" });
  expect(await render(page)).toContain("the newest 1 are shown");
});

const row = (name: string, change: Partial<CostRow> = {}): CostRow => ({
  ...{ name, instances: 2, unknown_prices: 1, per_hour: 60, today: 10, period: 100 },
  ...{ unknown_hours: 3, projected: 900, per_hour_max: 90, per_month_max: 800 },
  ...change,
});

function cost(): CostView {
  return {
    ...{ at: AT, from: "2026-11-01T00:00:00Z", to: AT, month: "2026-11" },
    total: row("fleet"),
    pools: [row("train"), row("", { per_month_max: null })],
    providers: [row("aws", { projected: null })],
    idle: [
      {
        ...{ state: "held", count: 30, unknown_prices: 0, per_hour: 30, accrued: 720 },
        instances: [
          {
            ...{ node_id: "n-1", instance_id: "i-1", pool: null, provider: "aws", since: AT },
            ...{ price_per_hour: null, accrued: null },
          },
        ],
      },
    ],
    open_purchases: { count: 2, unknown_prices: 0, per_hour: 60, possible: 12.5 },
    days: [
      { day: "2026-11-01", dollars: 40, unknown_hours: 0 },
      { day: "2026-11-02", dollars: 0.001, unknown_hours: 3 },
    ],
  };
}

test("money: totals, rates with unknown prices, ceilings, what is not bought, and the days", async () => {
  const bills = [
    {
      ...{ scope: "fleet", per_hour: 90, per_hour_max: 90, instances: 3, instances_max: null },
      unknown_prices: 0,
    },
  ];
  const page = moneyPage({ cost: cost(), safety: safety({ bills }), waits });
  const html = await render(page);
  for (const text of ["$60.00/h, 2 instances, 1 of them of unknown price", "$900.00", "29 more"]) {
    expect(html).toContain(text);
  }
  expect(html).toContain("2, at most $12.50 so far");
  expect(html).toContain("over $100.00/h");
  expect(html).not.toContain(">n-3</a>");
  expect(html).toContain("$0.0010");
  const table = (id: string) => page.blocks.find((block) => block.id === id);
  expect(table("pools")).toMatchObject({ rows: [{ tone: "warn" }, { tone: "ok" }] });
  expect(table("ceilings")).toMatchObject({ rows: [{ tone: "warn" }] });
  const data = /data-chart="([^"]+)"/.exec(html)?.[1]?.replaceAll("&quot;", '"') ?? "";
  expect(JSON.parse(data)).toMatchObject({
    x: [1_793_491_200, 1_793_577_600],
    series: [{ values: [40, 0.001] }],
  });
});

const NO_EVENTS = { node: null, pool: null, kind: null, since: null, q: null };
const NO_AUDIT = {
  ...{ actor: null, verb: null, object: null, result: null, since: null, until: null },
};
const ONE_PAGE = { cursor: null, next: null, period: { since: null, until: null } };

test("events: the filter keeps what was asked, and pages go back with it", async () => {
  const filters = { ...NO_EVENTS, node: "n-1", kind: "node.silent" };
  const html = await render(eventsPage({ events: [], filters, before: "9", next: "5" }));
  expect(html).toContain('<option value="node.silent" selected>');
  expect(html).toContain('href="/events?node=n-1&amp;kind=node.silent&amp;before=5">Older');
  expect(html).toContain('href="/events?node=n-1&amp;kind=node.silent">Newest');
  const last = await render(eventsPage({ events: [], filters, before: null, next: null }));
  expect(last).not.toContain("Older");
});

const record = (text: string): AuditRecord => ({
  ...{ id: 3, ts: AT, actor: text, role: text, ip: text, verb: "drain", kind: "node" },
  ...{ namespace: null, name: text, result: "ok", requestId: text },
  detail: { repair: text, sink: "slurm", names: [text], outcome: "ok", text },
});

test("C11: the audit page links exports of the same filter", async () => {
  const filters = { ...NO_AUDIT, verb: "drain", result: "refused", since: "24h" };
  const rows = [record("n-1"), { ...record("x"), id: 2, kind: "pod", namespace: "kai-ml" }];
  const period = { since: "2026-11-23T10:00:00.000Z", until: null };
  const html = await render(auditPage({ rows, filters, cursor: null, next: "2", period }));
  const query = "verb=drain&amp;result=refused&amp;since=";
  // The export takes times alone.
  const since = encodeURIComponent(period.since);
  expect(html).toContain(`href="/api/v1/audit/export?${query}${since}&amp;format=csv"`);
  expect(html).toContain(`href="/audit?${query}24h&amp;cursor=2"`);
  expect(html).toContain('node <a href="/fleet/node/n-1">n-1</a>');
  expect(html).toContain("pod kai-ml/x");
});

test("ids of rows are short, without spaces, and different for different rows", () => {
  expect(idOf("budget", "domain:rack 1", "drain")).toBe("budget:domain%3Arack%201:drain");
  expect(idOf("a", "b:c")).not.toBe(idOf("a", "b", "c"));
  const long = idOf("wait", "x".repeat(200));
  expect(long.length).toBeLessThan(40);
  expect(long).not.toBe(idOf("wait", "x".repeat(201)));
});
