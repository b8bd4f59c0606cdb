/**
 * What machines say of their version is theirs to choose, and what an earlier control plane stored
 * was its own: neither stops the loop that this one's repairs go through.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import * as v from "valibot";
import { NodeId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import { compareVersions } from "../../../schema/release.ts";
import { Report } from "../../../schema/report.ts";
import type { CampaignFact, UpgradingFact } from "../../../schema/upgrade.ts";
import { UnitOfWork, newMirror } from "../unit-of-work.ts";
import { sightOf } from "../../../test/world/ask.ts";
import { campaignOf, decideUpgrade } from "./decide-upgrade.ts";
import { stepUpgrade } from "./step.ts";
import { viewUpgrade } from "../../http/view/upgrade.ts";
import { wordFor } from "./word.ts";
import { fleetOf, runningOf, upgradableOf } from "../../../test/world/part.ts";

const START = 1_700_000_000_000;

const nodeOf = (index: number, version: string): Node =>
  upgradableOf(`n${10 + index}`, version, START);

const campaign = (to: string, force: boolean): CampaignFact => runningOf(START, { to, force });

const SIGHT = sightOf({ now: START + 1_000, attentiveMs: 1_000 });

/** Whatever the contract lets through. */
const anyVersion = fc
  .oneof(
    fc.string({ maxLength: 64 }),
    fc.string({ unit: "binary", maxLength: 32 }),
    fc.stringMatching(/^[0-9][0-9A-Za-z.+~-]{0,59}$/),
    fc.stringMatching(/^[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{1,2}([+~-][0-9a-z.]{1,8})?$/),
    fc.constantFrom("", "0dev", "9zz", "1.2.3~rc1", "1.2.3.4", "1.0.0", "1.1.0", "1.2.0"),
  )
  .filter((text) => v.safeParse(Report.entries.agent_version, text).success);
const anyTo = fc.oneof(anyVersion, fc.constantFrom("1.1.0", "1.1.0-rc.1"));

describe("decideUpgrade() and viewUpgrade()", () => {
  test("never throw, and never tell an agent whose version cannot be read", () => {
    fc.assert(
      fc.property(
        fc.array(anyVersion, { minLength: 1, maxLength: 8 }),
        anyTo,
        fc.boolean(),
        (versions, to, force) => {
          const nodes = versions.map((version, i) => nodeOf(i, version));
          const fleet = fleetOf(nodes, [campaign(to, force)]);
          const { now, attentiveMs } = SIGHT;
          const { put } = decideUpgrade({ ...fleet, now, attentiveMs, paused: null });
          for (const fact of put) {
            if (fact.kind !== "upgrading") continue;
            expect(compareVersions(fact.from, to)).not.toBeNull();
          }
          for (const sight of [null, SIGHT]) {
            const shown = viewUpgrade(fleet, sight).upgrade?.nodes ?? [];
            expect(shown).toHaveLength(nodes.length);
            for (const { state, version } of shown) {
              if (state === "has it") expect(version).toBe(to);
              else if (compareVersions(version, to) === null) expect(state).toBe("left alone");
            }
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  test("say which version it is that cannot be read", () => {
    const whyOf = (version: string, to: string): string | null | undefined =>
      viewUpgrade(fleetOf([nodeOf(0, version)], [campaign(to, true)]), null).upgrade?.nodes[0]?.why;
    expect(whyOf("0dev", "1.1.0")).toBe('the version "0dev" cannot be read');
    expect(whyOf("1.0.0", "1.1.0~rc1")).toBe('the version "1.1.0~rc1" cannot be read');
  });
});

describe("stepUpgrade()", () => {
  /** As no release of this control plane writes it: the part that follows rows has no answer. */
  const strange = {
    kind: "upgrading",
    node: "n10",
    campaign: "c1",
    step: "napping",
    since: START,
    from: "1.0.0",
    was: "healthy",
    dueAt: START + 180_000,
    seen: false,
    answered: null,
    why: null,
  } as unknown as UpgradingFact;

  test.each([
    ["running", false],
    ["stopped", true],
  ] as const)(
    "ends a campaign that is %s at a fault, with the reason, and no loop",
    (state, back) => {
      const before = { ...campaign("1.1.0", false), state, rollback: back };
      const fleet = fleetOf([nodeOf(0, "1.0.0"), nodeOf(1, "1.0.0")], [before, strange]);
      const { now, attentiveMs } = SIGHT;
      const look = { ...fleet, now, attentiveMs, paused: null };
      expect(() => decideUpgrade(look)).toThrow();
      const work = new UnitOfWork(newMirror());
      stepUpgrade(fleet, SIGHT, work);
      const change = work.finish();
      expect(change?.facts).toEqual([
        {
          ...before,
          state: "stopped",
          rollback: false,
          endedAt: now,
          why: expect.stringContaining("a fault in this control plane: "),
        },
      ]);
      expect(change?.events.map(({ message }) => message)).toEqual([
        expect.stringContaining("the upgrade of agents to 1.1.0 is stopped: a fault in this"),
      ]);
      // Once stored so, nothing more is decided or ordered.
      const after = fleetOf([...fleet.nodes.values()], [...(change?.facts ?? []), strange]);
      const again = new UnitOfWork(newMirror());
      stepUpgrade(after, SIGHT, again);
      expect(again.finish()).toBeNull();
      expect(campaignOf(after.facts)?.state).toBe("stopped");
      expect(wordFor(after, v.parse(NodeId, "n10"))).toBeNull();
      expect(viewUpgrade(after, SIGHT).upgrade?.why).toContain("a fault in this control plane");
    },
  );
});
