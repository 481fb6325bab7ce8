import type { Rule } from '../../api/types.ts';
import type { Speech } from '../../i18n/language.ts';
import { operandOf, operators, shownOf } from './operators.ts';
import { type Group, isObject, type Json, type JsonObject, type Node, readTree, type TestNode } from './tree.ts';

const longest = 5;

function valueWords(value: Json, speech: Speech): string {
  if (value === null) return speech.text('value.null');
  if (typeof value === 'boolean') return speech.text(value ? 'value.true' : 'value.false');
  if (typeof value === 'number') return speech.number(value);
  if (typeof value === 'string') return value === '' ? '“”' : value;
  return JSON.stringify(value);
}

function listWords(values: readonly Json[], type: 'conjunction' | 'disjunction', speech: Speech): string {
  const shown = values.slice(0, longest).map((value) => valueWords(value, speech));
  const more = values.length - shown.length;
  return speech.list(more > 0 ? [...shown, speech.text('words.more', { count: more })] : shown, type);
}

function testWords(test: TestNode, speech: Speech): string {
  const { operator, value } = shownOf(test);
  const [, key] = operators.find(([id]) => id === operator) ?? operators[0];
  const path = test.path === '' ? speech.text('words.element') : test.path;
  const name = speech.plain(key);
  const operand = operandOf(operator);
  if (operand === 'none') return `${path} ${name}`;
  if (operand === 'mod') {
    const [divisor = 1, remainder = 0] = Array.isArray(value) ? value : [];
    return speech.text('words.mod', { path, divisor: String(divisor), remainder: String(remainder) });
  }
  const words = Array.isArray(value)
    ? listWords(value, operator === '$all' || operator === '$alli' ? 'conjunction' : 'disjunction', speech)
    : valueWords(value, speech);
  return `${path} ${name} ${words}`;
}

function joined(nodes: readonly Node[], type: 'conjunction' | 'disjunction', speech: Speech, isInner: boolean): string {
  const words = nodes.map((node) => nodeWords(node, speech, nodes.length > 1));
  const text = speech.list(words, type);
  return isInner && words.length > 1 ? `(${text})` : text;
}

function nodeWords(node: Node, speech: Speech, isInner: boolean): string {
  switch (node.kind) {
    case 'raw':
      return JSON.stringify(node.source);
    case 'segment':
      return speech.text(node.isIn ? 'words.inSegment' : 'words.notInSegment', { slug: node.slug });
    case 'test':
      return testWords(node, speech);
    case 'elements':
      return speech.text('words.elements', { path: node.path, words: joined(node.of, 'conjunction', speech, true) });
    case 'group':
      if (node.join === 'none')
        return speech.text('words.none', { words: joined(node.of, 'disjunction', speech, true) });
      return joined(node.of, node.join === 'all' ? 'conjunction' : 'disjunction', speech, isInner);
  }
}

export function treeWords(root: Group, speech: Speech): string {
  return root.of.length === 0 ? '' : nodeWords(root, speech, false);
}

function asJson(condition: unknown): JsonObject | null {
  return isObject(condition) ? condition : null;
}

/** A rule in a sentence: "30 % of users where country is NL, until 1 Dec 2026". */
export function ruleWords(rule: Rule, speech: Speech): string {
  const condition = treeWords(readTree(asJson(rule.condition)), speech);
  const share = shareWords(rule, speech);
  const isRule = share !== undefined || (rule.condition !== null && rule.condition !== undefined);
  const people = share ?? speech.text(isRule ? 'words.everyone' : 'words.list');
  const parts = [condition === '' ? people : speech.text('words.where', { people, condition })];
  if (rule.bucket_by) parts.push(speech.text('words.by', { path: rule.bucket_by }));
  if (rule.active_from) parts.push(speech.text('words.from', { time: speech.moment(rule.active_from) }));
  if (rule.active_until) parts.push(speech.text('words.until', { time: speech.moment(rule.active_until) }));
  return parts.join(', ');
}

function shareWords({ percentage, ramp, layer }: Rule, speech: Speech): string | undefined {
  if (layer) {
    const [from, to] = [speech.percent(layer.from), speech.percent(layer.to)];
    return speech.text('words.layer', { slug: layer.slug, from, to });
  }
  if (ramp) {
    const [from, to] = [speech.percent(ramp.from), speech.percent(ramp.to)];
    return speech.text('words.ramp', { from, to, start: speech.date(ramp.starts_at), end: speech.date(ramp.ends_at) });
  }
  if (percentage === null || percentage === undefined) return undefined;
  return speech.text('words.share', { share: speech.percent(percentage) });
}

/** The kind of rule, in one word for lists. */
export type Kind = 'list' | 'percentage' | 'ramp' | 'layer' | 'condition' | 'both';

export function kindOf({ percentage, condition, ramp, layer }: Rule): Kind {
  if (layer) return 'layer';
  if (ramp) return 'ramp';
  const hasShare = percentage !== null && percentage !== undefined;
  if (condition) return hasShare ? 'both' : 'condition';
  return hasShare ? 'percentage' : 'list';
}
