/** Each promise of a contract has a test that names it, or a decision that says why not. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { Glob } from "bun";

const ROOT = join(import.meta.dir, "../..");
/** What begins the name of a test: `S7: …`, `A9, S35: …`. */
const NAMED = /["'`]((?:[A-Z]+\d+[a-z]?, )*[A-Z]+\d+[a-z]?): /g;

type Contract = {
  title: string;
  letter: string;
  rows: number;
  /** In the text of each test of it: other promises are counted by letter and number too. */
  about: RegExp;
  /** Rows that are not built, with the row of `docs/decisions/` that says why. */
  decided: Readonly<Record<string, string>>;
};

const CONTRACTS: readonly Contract[] = [
  {
    title: "Slurm",
    letter: "S",
    rows: 56,
    about: /slurm|slinky|munge/i,
    decided: { S44: "| `navarch slurm report` |" },
  },
  {
    ...{ title: "AgentPool", letter: "V", rows: 53 },
    about: /agentpool|agent_pool|worker|in-cluster|velda/i,
    decided: { V53: "| `spec.instance` | is a problem until machines are bought for AgentPools |" },
  },
  {
    ...{ title: "console", letter: "C", rows: 82 },
    about: /console|kubernetes|queue|trace|scal|taint|backup|dashboard|helm/i,
    decided: { C60: "| `server.custom_metrics` | withdrawn" },
  },
];

async function textsOf(...patterns: string[]): Promise<string[]> {
  const texts: string[] = [];
  for (const pattern of patterns) {
    for await (const path of new Glob(pattern).scan({ cwd: ROOT })) {
      if (/(^|\/)(node_modules|dist|build)\//.test(path)) continue;
      texts.push(await Bun.file(join(ROOT, path)).text());
    }
  }
  return texts;
}

const TESTS = await textsOf("**/*.test.ts", "**/*.contract.ts");
const DECISIONS = (await textsOf("docs/decisions/*.md")).join("\n");

function namedRows(about: RegExp): Set<string> {
  const texts = TESTS.filter((text) => about.test(text));
  const heads = texts.flatMap((text) => [...text.matchAll(NAMED)].map(([, rows = ""]) => rows));
  return new Set(heads.flatMap((rows) => rows.split(", ")));
}

test.each(CONTRACTS)("each row about $title is named by a test or decided", (contract) => {
  const { letter, rows, about, decided } = contract;
  const named = namedRows(about);
  const all = Array.from({ length: rows }, (_, i) => `${letter}${i + 1}`);
  expect(all.filter((row) => !named.has(row) && decided[row] === undefined)).toEqual([]);
  // A decision that a test has overtaken is dropped from the list.
  expect(Object.keys(decided).filter((row) => named.has(row) || !all.includes(row))).toEqual([]);
  expect(Object.values(decided).filter((text) => !DECISIONS.includes(text))).toEqual([]);
});
