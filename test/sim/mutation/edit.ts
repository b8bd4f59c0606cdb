/** Mechanisms that hold machines while the configuration's providers are edited. */
import type { Mutation } from "./list.ts";

const REACH = "reconciler/core/reach.ts";
const FOLD = "reconciler/core/fold/listing.ts";
const EDITS = "test/scenario/provider-edit.test.ts";

export const EDIT_MUTATIONS: readonly Mutation[] = [
  {
    name: "a machine that another provider lists too is surplus",
    patches: [
      {
        file: REACH,
        from: "  if (fact.provider === provider) return true;\n",
        to: "  if (fact.provider !== null) return fact.provider === provider;\n",
      },
    ],
    test: { file: EDITS, name: "two providers that tell account and region" },
  },
  {
    name: "a list of another account proves that machines are gone",
    patches: [
      {
        file: FOLD,
        from: "    if (unreached(provider, reach, node.instance) !== null) continue;\n",
        to: "",
      },
      {
        file: "reconciler/core/decide/node.ts",
        from: "  if (strandedWhy(node, scope.sight.providers) !== null) return null;\n",
        to: "",
      },
      {
        file: "reconciler/core/decide/admit.ts",
        from: "    heldByCloud(node, sight) ??\n",
        to: "",
      },
    ],
    test: { file: EDITS, name: "silent machines of another account" },
  },
  {
    name: "a purchase is repeated in another account",
    patches: [
      {
        file: "reconciler/core/decide/may-call.ts",
        from: "  if (strandedCall(operation, sight.providers) !== null) return false;\n",
        to: "",
      },
    ],
    test: { file: EDITS, name: "is not repeated in another region" },
  },
  {
    name: "a reload may move a provider away from its machines",
    patches: [
      {
        file: "reconciler/core/removal.ts",
        from: "    .filter(({ why }) => !before.has(why))",
        to: "    .filter(({ why }) => before.has(why))",
      },
    ],
    test: { file: EDITS, name: "a reload that moves a provider" },
  },
];
