/**
 * Nothing that a page ever promised goes without a word: `surface.json` only grows (`UPDATE=1`),
 * and what is gone stands below with its reason, which the CHANGELOG tells too.
 */
import { expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../build/product.ts";
import { type Surface, surfaceOf } from "./surface.ts";

const FILE = join(import.meta.dir, "surface.json");

/** Promises that were withdrawn: `kind: name`, or its beginning with a `*` at the end, and why. */
const GONE: Readonly<Record<string, string>> = {
  "commands: navarch slurm report*": "no seed asks for it; sreport and sacctmgr tell the same",
  "commands: navarch manifests console --custom-metrics":
    "no seed asks for a metrics server of ours; Prometheus Adapter or KEDA",
  "keys: server: custom_metrics*": "the same",
  "routes: GET /api/hpa-events/:service/effectiveness": "no seed asks for a score of autoscalers",
};

function readPages(): Record<string, string> {
  const paths = readdirSync(join(ROOT, "docs"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".md") && !path.startsWith("decisions/"))
    .map((path) => `docs/${path}`);
  return Object.fromEntries(paths.map((path) => [path, readFileSync(join(ROOT, path), "utf8")]));
}

const now = surfaceOf(readPages());
const kept = JSON.parse(readFileSync(FILE, "utf8")) as Surface;
const whole: Surface = {};
for (const [kind, list] of Object.entries(now)) {
  whole[kind] = [...new Set([...(kept[kind] ?? []), ...list])].sort();
}
if (process.env["UPDATE"] === "1") writeFileSync(FILE, `${JSON.stringify(whole, null, 1)}\n`);

const isGone = (name: string): boolean =>
  Object.keys(GONE).some((gone) =>
    gone.endsWith("*") ? name.startsWith(gone.slice(0, -1)) : name === gone,
  );

test("what a page ever promised is promised still, or was withdrawn with a reason", () => {
  const lost = Object.entries(kept).flatMap(([kind, list]) =>
    list.filter((name) => !now[kind]?.includes(name)).map((name) => `${kind}: ${name}`),
  );
  expect(lost.filter((name) => !isGone(name))).toEqual([]);
});

test("what is withdrawn was promised, and is gone", () => {
  const all = (surface: Surface) =>
    Object.entries(surface).flatMap(([kind, list]) => list.map((name) => `${kind}: ${name}`));
  expect(all(now).filter(isGone)).toEqual([]);
  for (const gone of Object.keys(GONE)) {
    const name = gone.replace(/\*$/, "");
    expect([gone, all(kept).some((one) => one.startsWith(name))]).toEqual([gone, true]);
  }
});

test("what is new is kept: UPDATE=1 bun test test/docs/surface.test.ts", () => {
  expect(kept).toEqual(whole);
});

test("the pages are read: one of each kind", () => {
  const cli =
    "### navarch list\n| `-w, --watch` | x |\n| `--pool P` | x |\n## Agent\n      --once  x\n";
  const read = surfaceOf({
    "docs/cli.md": cli,
    "docs/metrics.md": "| metric | kind |\n| --- | --- |\n| `navarch_nodes` | gauge |\n",
    "docs/api.md": "| GET | `/v1/nodes` | viewer | x |\n",
  });
  expect(read).toEqual({
    commands: [
      "navarch list",
      "navarch list --pool",
      "navarch list --watch",
      "navarch-node --once",
    ],
    events: [],
    keys: [],
    metrics: ["navarch_nodes"],
    pages: ["docs/api.md", "docs/cli.md", "docs/metrics.md"],
    routes: ["GET /v1/nodes"],
  });
  expect(Object.values(now).map((list) => list.length > 20)).toEqual(Array(6).fill(true));
});
