/** What is read of a reply, and that a reply which was cut off is none. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { formatXml } from "../../../test/real/cloud/aws/wire.ts";
import { itemsAt, parseXml, textAt, type Xml } from "./xml.ts";

const REPLY = `<?xml version="1.0" encoding="UTF-8"?>
<!-- a comment - with one -->
<R xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
  <set><item><a>x &amp; &lt;y&gt; &#233;&#x1F600;</a></item><item/></set>
  <empty/><b  c='d' >1</b >
</R>
`;

test("parseXml() reads elements, text and character references", () => {
  const root = parseXml(REPLY) ?? undefined;
  expect(root?.name).toBe("R");
  expect(itemsAt(root, "set").map((item) => textAt(item, "a"))).toEqual(["x & <y> é😀", null]);
  expect(textAt(root, "b")).toBe("1");
  expect([textAt(root, "empty"), textAt(root, "none", "deeper")]).toEqual([null, null]);
});

test("parseXml() takes no reply that was cut off", () => {
  const whole = REPLY.trimEnd();
  for (let length = 0; length < whole.length; length++) {
    expect(parseXml(whole.slice(0, length))).toBeNull();
  }
});

test.each([
  "",
  "text",
  "<a></b>",
  "<a/><b/>",
  "<a>&nbsp;</a>",
  "<a>& b</a>",
  "<a>&#0;</a>",
  "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
  "<html><br></html>",
  "</a>",
  "<a",
  "<a b=c/>",
  `${"<a>".repeat(100)}${"</a>".repeat(100)}`,
])("parseXml() refuses %p", (text) => {
  expect(parseXml(text)).toBeNull();
});

const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_.-]{0,8}$/);
const { tree } = fc.letrec<{ tree: Xml }>((tie) => ({
  tree: fc.oneof(
    { depthSize: "small" },
    fc.record({
      name,
      text: fc.string({ unit: "grapheme" }).filter((text) => !/[\u0000\r]/.test(text)),
      children: fc.constant<Xml[]>([]),
    }),
    fc.record({ name, text: fc.constant(""), children: fc.array(tie("tree"), { maxLength: 4 }) }),
  ),
}));

test("parseXml() reads what was written", () => {
  fc.assert(
    fc.property(tree, (xml) => {
      expect(parseXml(formatXml(xml))).toEqual(xml);
    }),
  );
});
