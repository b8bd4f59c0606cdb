/**
 * Answers of any form that slurmrestd's own OpenAPI document accepts: they are read or unknown,
 * every word for a state is known, and a row whose name, state and nodes are sound is never lost
 * over its other fields.
 */
import { beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { fleetState, readState } from "../../../reconciler/core/slurm/state.ts";
import { workLeft } from "../../../reconciler/core/slurm/left.ts";
import { readJobs, readNodes } from "../../../reconciler/slurm/json.ts";
import { judge } from "../../../reconciler/slurm/rest-answer.ts";
import { openSlurm } from "./cluster.ts";
import { missesSlurm, SLURM_VERSIONS } from "./package.ts";

const LIMIT_MS = 120_000;
const RUNS = 300;
/** The newest that is read, as in rest.test.ts. */
const API = { "22.05": "v0.0.38", "24.11": "v0.0.42" } as const;
const BASES: readonly string[] = ["IDLE", "ALLOCATED", "MIXED", "DOWN", "ERROR"];

type Piece = Readonly<Record<string, unknown>>;

const mapOf = (value: unknown): Piece =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Piece) : {};
const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

/** Documents of a schema; a kind that it does not know throws, so that none is passed over. */
class Spec {
  readonly #document: Piece;
  readonly #made = new Map<string, fc.Arbitrary<unknown>>();

  constructor(document: Piece) {
    this.#document = document;
  }

  at(path: string): Piece {
    return path.split("/").reduce((piece, key) => {
      return mapOf(piece[key.replaceAll("~1", "/")]);
    }, this.#document);
  }

  /** The schema of what a GET answers. */
  answer(path: string): Piece {
    const operation = mapOf(mapOf(mapOf(this.#document["paths"])[path])["get"]);
    const content = mapOf(mapOf(mapOf(operation["responses"])["200"])["content"]);
    return this.follow(mapOf(mapOf(content["application/json"])["schema"]));
  }

  follow(schema: Piece): Piece {
    const ref = textOf(schema["$ref"]);
    return ref === "" ? schema : this.follow(this.at(ref.replace(/^#\//, "")));
  }

  arbitrary(schema: Piece): fc.Arbitrary<unknown> {
    const ref = textOf(schema["$ref"]);
    const known = this.#made.get(ref);
    if (known !== undefined) return known;
    const made = this.#of(this.follow(schema));
    if (ref !== "") this.#made.set(ref, made);
    return made;
  }

  #of(schema: Piece): fc.Arbitrary<unknown> {
    if (Array.isArray(schema["enum"])) return fc.constantFrom(...(schema["enum"] as unknown[]));
    switch (schema["type"]) {
      case "object":
        return this.fields(schema);
      case "array":
        return fc.array(this.arbitrary(mapOf(schema["items"])), { maxLength: 2 });
      case "string":
        return fc.oneof(fc.constantFrom("", "(null)", "n[0-1]", "IDLE"), fc.string());
      case "integer":
        return fc.oneof(fc.nat(2_000_000_000), fc.maxSafeInteger(), fc.constantFrom(-1, 2 ** 64));
      case "number":
        return fc.double();
      case "boolean":
        return fc.boolean();
      case undefined:
        return fc.jsonValue({ maxDepth: 2 });
      default:
        throw new Error(`no documents are made for ${JSON.stringify(schema).slice(0, 200)}`);
    }
  }

  /** Fields that are not required may be missing. */
  fields(schema: Piece): fc.Arbitrary<Record<string, unknown>> {
    const all = Object.entries(mapOf(schema["properties"]));
    const fields = all.map(([key, one]) => [key, this.arbitrary(mapOf(one))] as const);
    // 24.11 requires fields of job_resources that it does not describe.
    const required = Array.isArray(schema["required"]) ? schema["required"].map(String) : [];
    const requiredKeys = required.filter((key) => all.some(([known]) => known === key));
    return fc.record(Object.fromEntries(fields), { requiredKeys });
  }
}

for (const version of SLURM_VERSIONS) {
  const isMissing = await missesSlurm(`the OpenAPI document of Slurm ${version}`, version);
  describe.skipIf(isMissing)(`slurmrestd ${version}`, () => {
    const slash = version === "22.05" ? "" : "/";
    const isOld = version === "22.05";
    let spec = new Spec({});
    const rowOf = (what: "nodes" | "jobs"): Piece => {
      const answer = spec.answer(`/slurm/${API[version]}/${what}${slash}`);
      const rows = spec.follow(mapOf(mapOf(answer["properties"])[what]));
      return spec.follow(mapOf(rows["items"]));
    };
    /** Of the document; 22.05 names none. */
    const wordsOf = (what: "nodes" | "jobs", key: string): string[] => {
      const list = spec.follow(mapOf(mapOf(rowOf(what)["properties"])[key]));
      const words = spec.follow(mapOf(list["items"]))["enum"];
      return Array.isArray(words) ? words.map(String) : [];
    };
    beforeAll(async () => {
      const slurm = await openSlurm({ version, nodes: 1, isRest: true, isStarted: false });
      try {
        const asked = await fetch("http://slurm/openapi/v3", { unix: slurm.restSocket });
        spec = new Spec(mapOf(await asked.json()));
      } finally {
        await slurm.close();
      }
    }, LIMIT_MS);

    test.each(["nodes", "jobs"] as const)(
      "S37: any answer of %s is read or unknown",
      (what) => {
        const schema = spec.answer(`/slurm/${API[version]}/${what}${slash}`);
        expect(Object.keys(mapOf(schema["properties"]))).toContain(what);
        fc.assert(
          fc.property(spec.fields(schema), fc.constantFrom(200, 500), (answer, status) => {
            const value: unknown = JSON.parse(JSON.stringify(answer));
            const judged = judge({ kind: "json", status, value });
            expect(["ok", "refused", "failed"]).toContain(judged.kind);
            for (const node of readNodes(value) ?? []) expect(node.base).not.toBe("");
            for (const job of readJobs(value) ?? []) expect(Number.isFinite(job.gpus)).toBe(true);
          }),
          { numRuns: RUNS },
        );
      },
      LIMIT_MS,
    );

    test("S31: every word for a node's state is known", () => {
      const words = wordsOf("nodes", "state");
      expect(words.length > 20).toBe(!isOld);
      for (const word of words) {
        const state = readState(BASES.includes(word) ? [word] : ["IDLE", word]);
        const isUnknown = state === null || fleetState(state).state === "unknown";
        // Another base beside IDLE is two bases.
        expect({ word, isUnknown }).toEqual({ word, isUnknown: /^(UNKNOWN|FUTURE)$/.test(word) });
      }
    });

    test(
      "S31: a node with name and state is read, and one at work is not empty",
      () => {
        const words = wordsOf("nodes", "state").filter((word) => {
          return !/^(INVALID|UNKNOWN|FUTURE)$/.test(word);
        });
        const flag = fc.constantFrom(...(isOld ? ["DRAIN", "CLOUD", "COMPLETING", "FAIL"] : words));
        const said = fc.tuple(fc.constantFrom(...BASES), fc.uniqueArray(flag, { maxLength: 3 }));
        fc.assert(
          fc.property(spec.fields(rowOf("nodes")), said, (row, [base, more]) => {
            const flags = more.filter((word) => !BASES.includes(word));
            const state = isOld
              ? { state: base.toLowerCase(), state_flags: flags }
              : { state: [base, ...flags] };
            const value: unknown = JSON.parse(JSON.stringify({ ...row, name: "n0", ...state }));
            const node = readNodes({ nodes: [value] })?.[0];
            expect(node).toMatchObject({ name: "n0", base, flags });
            const isWorking = /^(ALLOCATED|MIXED)$/.test(base) || flags.includes("COMPLETING");
            if (isWorking) expect(workLeft(node, [], 1).kind).not.toBe("empty");
          }),
          { numRuns: RUNS },
        );
      },
      LIMIT_MS,
    );

    test(
      "S31: a job with number, state and nodes is read, and keeps its nodes busy",
      () => {
        const listed = wordsOf("jobs", "job_state");
        expect(listed.length > 20).toBe(!isOld);
        const flags = listed.filter((word) => {
          return /^(CONFIGURING|COMPLETING|RESIZING|STOPPED|SIGNALING|POWER_UP_NODE)$/.test(word);
        });
        const held = fc.constantFrom("RUNNING", "SUSPENDED");
        const said = isOld
          ? held
          : fc
              .tuple(held, fc.subarray(flags, { maxLength: 2 }))
              .map(([base, more]) => [base, ...more]);
        fc.assert(
          fc.property(spec.fields(rowOf("jobs")), fc.nat(), said, (row, number, job_state) => {
            const sound = { ...row, job_id: number, job_state, nodes: "n[0-1],x" };
            const value: unknown = JSON.parse(JSON.stringify(sound));
            const jobs = readJobs({ jobs: [value] });
            expect(jobs).toMatchObject([{ nodes: ["n0", "n1", "x"] }]);
            const drained = readNodes({ nodes: [{ name: "n0", state: ["IDLE", "DRAIN"] }] })?.[0];
            expect(workLeft(drained, jobs ?? [], 1).kind).toBe("busy");
          }),
          { numRuns: RUNS },
        );
      },
      LIMIT_MS,
    );
  });
}
