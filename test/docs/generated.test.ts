/** The generated pages are current, and the defaults that they print are the reader's. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { ROOT } from "../../build/product.ts";
import { readConfig } from "../../reconciler/config/read.ts";
import { listDefaults } from "./configuration.ts";
import { subjectsOf } from "./decisions.ts";
import { PAGES } from "./page.ts";

test.each(Object.keys(PAGES))(
  "%s is current; renew it with: npm run docs",
  async (path) => {
    const page = await PAGES[path]?.();
    expect(readFileSync(join(ROOT, path), "utf8")).toBe(page ?? "");
  },
  60_000,
);

test("decisions are found in lists and tables, and what is none is not", () => {
  const page = `# Page
- **A holds.** Because.
## A part, and more
- B is so: for a reason.
| question | decision |  reason |
|---|---|---|
| C | is done; more | why |
## Gotchas
- D surprises.
`;
  expect(subjectsOf("x.md", page)).toEqual([
    { title: "Page", link: "x.md", decisions: ["A holds"] },
    {
      title: "A part, and more",
      link: "x.md#a-part-and-more",
      decisions: ["B is so", "C: is done"],
    },
  ]);
});

type Tree = { [key: string]: Tree };

const BASE = `
server: { tls: { own_ca: false, cert_file: a.pem, key_file: b.pem } }
pools: [{ name: p, provider: fake, instance_type: x, scaling: { min_nodes: 1, max_nodes: 2 } }]
`;

/** The configuration that BASE and one more key make. */
function readWith(path: string | null, value: string): unknown {
  const tree = parse(BASE) as Tree;
  const keys = path?.replace("pools[]", "pools.0").split(".") ?? [];
  const last = keys.pop();
  let at = tree;
  for (const key of keys) at = at[key] ??= {};
  if (last !== undefined) at[last] = parse(value) as Tree;
  const answer = readConfig([{ name: "navarch.yaml", text: stringify(tree) }]);
  if (answer.config === null) throw new Error(JSON.stringify(answer.problems));
  return answer.config;
}

const without = readWith(null, "");

test.each(listDefaults())("%s is %s where nothing is written", (path, value) => {
  expect(readWith(path, value)).toEqual(without);
});

test("a default that is not the reader's is noticed", () => {
  expect(readWith("safety.breaker.rate", "6")).not.toEqual(without);
});
