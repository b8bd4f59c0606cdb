/**
 * Faults that somebody could build in, each with the test that must then fail: the proof that the
 * suite looks. Plain data; add one as a name, its patches (the text must occur exactly once) and
 * its test. `bun run test/sim/mutation/main.ts [name …]` applies each to a scratch copy.
 */
import { AGENTPOOL_MUTATIONS } from "./agentpool.ts";
import { EDIT_MUTATIONS } from "./edit.ts";
import { KUBERNETES_MUTATIONS } from "./kubernetes.ts";
import { SAFETY_MUTATIONS } from "./safety.ts";
import { SLURM_MUTATIONS } from "./slurm.ts";

export type Mutation = {
  name: string;
  patches: readonly { file: string; from: string; to: string }[];
  /** A test file, and which of its tests (a part of their names). */
  test: { file: string; name: string };
};

const CRASH = "test/sim/crash.test.ts";

export const MUTATIONS: readonly Mutation[] = [
  {
    name: "open operations are not recovered",
    patches: [
      {
        file: "reconciler/runtime/ledger.ts",
        from: "operations: snapshot.openOperations.map(",
        to: "operations: snapshot.openOperations.filter(() => false).map(",
      },
    ],
    test: { file: CRASH, name: "of create costs nothing" },
  },
  {
    name: "an outcome and its node are written in two transactions",
    patches: [
      {
        file: "reconciler/store/libsql.ts",
        from: "await this.write([...items, ...this.noteChange()]);",
        to: "for (const item of items) await this.write([item]);",
      },
    ],
    test: { file: CRASH, name: "of create costs nothing" },
  },
  {
    name: "a retry has another token and name",
    patches: [
      {
        file: "reconciler/runtime/act/execute.ts",
        from: "        payload.request,\n        fence,",
        to: `        {
          ...payload.request,
          token: payload.request.token + operation.attempts,
          name: payload.request.name + operation.attempts,
        },
        fence,`,
      },
    ],
    test: { file: CRASH, name: "of create costs nothing" },
  },
  {
    name: "a second offer is tried while an ask is open",
    patches: [
      {
        file: "reconciler/core/fold/outcome.ts",
        from: '  if (operation.payload.kind === "reboot" && outcome.kind === "ambiguous") {\n',
        to: `  if (outcome.kind === "ambiguous" && operation.payload.kind === "create")
    outcome = { kind: "refused", class: "capacity", message: "", retryAfterMs: 0 };
  if (operation.payload.kind === "reboot" && outcome.kind === "ambiguous") {
`,
      },
    ],
    test: { file: CRASH, name: "of create costs nothing" },
  },
  {
    name: "the store is read before the cloud in the orphan sweep",
    patches: [
      {
        file: "reconciler/core/fold/everything.ts",
        from: "  const fleet = fleetOf(input, work);\n  const doubt",
        to: "  const fleet = { ...input.fleet, operations: new Map() };\n  const doubt",
      },
      {
        file: "reconciler/core/fold/adopt.ts",
        from: "const LISTINGS_MIN = 2;",
        to: "const LISTINGS_MIN = 1;",
      },
    ],
    test: { file: CRASH, name: "of create costs nothing" },
  },
  {
    name: "a tag-only ask is repeated without looking for it",
    patches: [
      {
        file: "reconciler/runtime/act/execute.ts",
        from: "operation.lookups >= LOOKUPS_MIN;",
        to: "operation.lookups >= 0;",
      },
    ],
    test: { file: CRASH, name: "of create costs nothing" },
  },
  {
    name: "a call starts before its intent is durable",
    patches: [
      {
        file: "reconciler/runtime/ledger.ts",
        from: "      await this.from.store.commit(change);",
        to: "      void this.from.store.commit(change).catch(() => undefined);",
      },
    ],
    test: { file: CRASH, name: "of create costs nothing" },
  },
  {
    name: "writes are not fenced by the epoch",
    patches: [
      {
        file: "schema/migration/0001_lease.sql",
        from: "AND epoch = NEW.epoch)",
        to: "AND epoch >= 0)",
      },
    ],
    test: { file: CRASH, name: "frozen and goes on" },
  },
  ...EDIT_MUTATIONS,
  ...SAFETY_MUTATIONS,
  ...KUBERNETES_MUTATIONS,
  ...SLURM_MUTATIONS,
  ...AGENTPOOL_MUTATIONS,
];
