import { describe, expect, test } from "bun:test";
import { heldOf, kubeOf, nodeOf, sessionOf, unboughtOf } from "../../test/world/part.ts";
import type { KubeFact, Node } from "../../schema/node.ts";
import { BY_KUBERNETES } from "../safety/uncordoned.ts";
import { foldReview, sayBroken, sayUncordon } from "./uncordon.ts";

const by = (...names: (string | null)[]): KubeFact["uncordons"] =>
  names.map((one, at) => ({ at, by: one }));
const kube = (...names: (string | null)[]): KubeFact => {
  const uncordons = by(...names);
  return kubeOf({ name: "gpu-1", ...(uncordons === undefined ? {} : { uncordons }) });
};

const waiver = { by: BY_KUBERNETES, why: "x", at: 100, evidence: ["r/xid/48/node"] };

function broken(more: Partial<Node> = {}): Node {
  const made = nodeOf("n1", { kube: kube("ann", "bob"), waiver, ...more });
  const held = [heldOf({ definitive: true, because: "XID 79" })];
  return { ...made, health: { ...made.health, held, verdict: "unhealthy" } };
}

test("sayUncordon() names whoever did it last", () => {
  expect(sayUncordon(kube("ann", "bob"))).toBe("uncordoned in Kubernetes by bob");
  expect(sayUncordon(kube("ann", null))).toBe("uncordoned in Kubernetes by hand");
  expect(sayUncordon(kube())).toBe("uncordoned in Kubernetes by hand");
  expect(sayUncordon(kubeOf())).toBe("uncordoned in Kubernetes by hand");
  expect(sayUncordon(null)).toBe("uncordoned in Kubernetes by hand");
});

describe("sayBroken()", () => {
  const what = (name: string, who: string) =>
    `Node ${name} was uncordoned in Kubernetes by ${who} although its hardware is broken: ` +
    "XID 79; work that lands there fails.";

  test("says what is broken and what to do", () => {
    expect(sayBroken(broken())).toBe(
      `${what("gpu-1", "bob")} Run \`navarch replace n1\`, or cordon it again`,
    );
    const bare = broken({ kube: null });
    expect(sayBroken(bare)).toStartWith(what("n1", "hand"));
    const stray = { ...unboughtOf("n1"), kube: kube("ann"), health: broken().health };
    expect(sayBroken(stray)).toBe(
      `${what("gpu-1", "ann")} Cordon it again until it is repaired`,
    );
  });
});

describe("foldReview()", () => {
  test("reminds each time the review is due", () => {
    const node = broken({ session: sessionOf() });
    expect(foldReview(node, 50, 149)).toBeNull();
    expect(foldReview(node, 50, 150)).toEqual({
      node: { ...node, waiver: { ...waiver, remindedAt: 150 } },
      event: {
        at: 150,
        kind: "kube.uncordoned_broken",
        node: node.id,
        pool: node.pool,
        session: sessionOf().id,
        actor: "navarch",
        message: `reminder: ${sayBroken(node)}`,
      },
    });
    const reminded = broken({ waiver: { ...waiver, remindedAt: 150 } });
    expect(foldReview(reminded, 50, 199)).toBeNull();
    expect(foldReview(reminded, 50, 200)?.event.session).toBeNull();
  });

  test("does not where it is switched off, or nothing was waived", () => {
    expect(foldReview(broken(), 0, 9_999)).toBeNull();
    expect(foldReview(broken({ waiver: null }), 50, 9_999)).toBeNull();
  });
});
