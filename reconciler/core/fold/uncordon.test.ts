import { describe, expect, test } from "bun:test";
import { heldOf, kubeOf, nodeOf, sessionOf, unboughtOf } from "../../../test/world/part.ts";
import type { KubeFact, Node } from "../../../schema/node.ts";
import { BY_KUBERNETES } from "../safety/uncordoned.ts";
import { calledOffAt, foldCordon, foldReview, sayBroken, uncordonedBy } from "./uncordon.ts";
import { sayCalledOff, sayUncordon } from "../say/uncordon.ts";

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
  const said = (one: Node["kube"]) => sayUncordon(uncordonedBy(one));
  expect(said(kube("ann", "bob"))).toBe("uncordoned in Kubernetes by bob");
  expect(said(kube("ann", null))).toBe("uncordoned in Kubernetes by hand");
  expect(said(kube())).toBe("uncordoned in Kubernetes by hand");
  expect(said(kubeOf())).toBe("uncordoned in Kubernetes by hand");
  expect(said(null)).toBe("uncordoned in Kubernetes by hand");
});

describe("sayBroken()", () => {
  const what = (name: string, who: string) =>
    `Node ${name} was uncordoned in Kubernetes by ${who} although its hardware is broken: ` +
    "XID 79; work that lands there fails.";

  test("says what is broken and what to do", () => {
    expect(sayBroken(broken())).toBe(
      `${what("gpu-1", "bob")} Resume its repair, drain included, with ` +
        "`kubectl cordon gpu-1` or `navarch replace n1`",
    );
    const bare = broken({ kube: null });
    expect(sayBroken(bare)).toStartWith(what("n1", "hand"));
    const stray = { ...unboughtOf("n1"), kube: kube("ann"), health: broken().health, waiver };
    expect(sayBroken(stray)).toBe(
      `${what("gpu-1", "ann")} Resume its repair, drain included, with ` +
        "`kubectl cordon gpu-1` or `navarch drain n1`",
    );
  });

  test("of a Node that others cordon says that nothing repairs it, and what does", () => {
    const cordoned = { unschedulable: true, others: ["kubectl-cordon"] };
    const one = broken({ kube: { ...kube("bob"), ...cordoned } as KubeFact });
    const start =
      "Node gpu-1 was uncordoned in Kubernetes by bob although its hardware is broken: XID 79; " +
      "it is cordoned by kubectl-cordon now, and nothing repairs it. ";
    const resume = "Resume its repair, drain included, with `navarch replace n1`";
    expect(sayBroken(one)).toBe(start + resume);
    const third = broken({ kube: { ...kube("ann", "ann", "bob"), ...cordoned } as KubeFact });
    const off = " (cancelled 3 times since its fault began: a cordon does not resume it)";
    expect(sayBroken(third)).toBe(start + resume + off);
  });
});

test("sayBroken() of a Node that is missing advises no cordon of it", () => {
  const said = sayBroken(broken({ kube: kubeOf({ name: "gpu-1", absentSince: 9 }) }));
  expect(said).toEndWith(
    "its Node is missing now. Resume its repair, drain included, with `navarch replace n1`",
  );
});

test("calledOffAt() is for nodes that were given back in Kubernetes", () => {
  const off = calledOffAt(broken());
  expect(off).toEqual({ by: "bob", at: 100 });
  expect(sayCalledOff({ by: "bob", at: 100 })).toBe(
    "its repair was cancelled: uncordoned in Kubernetes by bob at 1970-01-01T00:00:00.100Z",
  );
  expect(calledOffAt(broken({ waiver: { ...waiver, by: "human:ann" } }))).toBeNull();
  expect(calledOffAt(broken({ waiver: null }))).toBeNull();
});

describe("foldCordon()", () => {
  const by = "cordoned in Kubernetes by kubectl-cordon";
  const left = `${by}: left unchanged`;
  const theirs = ["kubectl-cordon"];

  test("resumes a repair that was called off", () => {
    expect(foldCordon(broken(), theirs, true)).toEqual({
      message: `${by}: its repair resumes`,
      waiver: null,
    });
  });

  test("does not where the Node came cordoned, or `navarch cordon` keeps the repair away", () => {
    const cordon = { product: null, human: { by: "human:ann", why: "", at: 1 } };
    expect(foldCordon(broken(), theirs, false)).toEqual({ message: left, waiver });
    expect(foldCordon(broken({ cordon }), theirs, true)).toEqual({ message: left, waiver });
    expect(foldCordon(broken({ waiver: null }), theirs, true)).toEqual({
      message: left,
      waiver: null,
    });
  });

  test("does not the third time of one fault, and says what does", () => {
    const { message, waiver: stays } = foldCordon(
      broken({ kube: kube("a", "b", "c") }),
      theirs,
      true,
    );
    expect(stays).toEqual(waiver);
    expect(message).toBe(
      `${left}. Resume its repair, drain included, with \`navarch replace n1\` ` +
        "(cancelled 3 times since its fault began: a cordon does not resume it)",
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
