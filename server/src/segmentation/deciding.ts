import { isObject } from '@kohort/contract';
import { bucketOfWord } from './bucket.ts';
import { Evaluation } from './conditions/evaluation.ts';
import { isArray, type Json, type JsonObject } from './conditions/json.ts';
import { type Definition, isActive, isList } from './definition.ts';
import type { Definitions } from './definitions.ts';
import { type Membership, ruleSource, type Source } from './membership.ts';
import type { Mode } from './overrides.ts';
import type { Rule } from './rules.ts';
import { changesMindAt, takesBucket } from './share.ts';
import type { Steps } from './steps.ts';
import { bucketOf, type Subject } from './subject.ts';

export interface Decision {
  readonly member: boolean;
  readonly source: Source;
  /** What the condition says, whether or not an override decides. */
  readonly matched: boolean | null;
}

/** What has been decided about one user so far. Segments are asked for in turn, each after those that its condition names. */
export class Deciding {
  readonly #definitions: Definitions;
  readonly #subject: Subject;
  readonly #evaluation: Evaluation;
  /** About segments that conditions name. */
  readonly #decided = new Map<number, boolean>();
  #texts: Texts | undefined;
  /** Whether an override may decide about a segment with a rule. Most overrides are of lists. */
  #mayOverrideRules = true;
  /** The first words of digests, where they were computed together. */
  #words: Uint32Array | undefined;

  constructor(definitions: Definitions, subject: Subject, now: number) {
    this.#definitions = definitions;
    this.#subject = subject;
    this.#evaluation = new Evaluation(now, (id) => this.#isInNamed(id));
  }

  /** For a caller who has looked at all overrides: none is of a segment with a rule. */
  expectNoOverriddenRule(): void {
    this.#mayOverrideRules = false;
  }

  get holdsUntil(): number {
    return this.#evaluation.holdsUntil;
  }

  #isInNamed(id: number): boolean {
    const known = this.#decided.get(id);
    if (known !== undefined) return known;
    const definition = this.#definitions.byId.get(id);
    return definition !== undefined && this.#subject.overrides.get(id) === 'include' && this.isActive(definition);
  }

  isActive(definition: Definition): boolean {
    this.#evaluation.changesAt(definition.activeFrom);
    this.#evaluation.changesAt(definition.activeUntil);
    return isActive(definition, this.#evaluation.now);
  }

  /**
   * Out before its start and after its end. Otherwise an override that stands decides. Without one a list is out, and a rule
   * needs both its share and its condition to say yes.
   */
  decide(definition: Definition): boolean {
    const member = this.#isIn(definition);
    this.#note(definition, member);
    return member;
  }

  #isIn(definition: Definition): boolean {
    return this.isActive(definition) && this.#isInWhileActive(definition);
  }

  /** Of a segment that a draft may name: no stored definition has to. */
  decideNamed(definition: Definition): void {
    this.#decided.set(definition.id, this.decide(definition));
  }

  #isInWhileActive(definition: Definition): boolean {
    const mode = this.#overrideOf(definition);
    if (mode !== undefined) return mode === 'include';
    // The condition first: it is the cheaper of the two.
    return !isList(definition) && this.meetsCondition(definition) !== false && this.isInShare(definition);
  }

  #overrideOf(definition: Definition): Mode | undefined {
    return this.#mayOverrideRules || isList(definition) ? this.#subject.overrides.get(definition.id) : undefined;
  }

  #isOverridden({ id }: Definition): boolean {
    return this.#mayOverrideRules && this.#subject.overrides.has(id);
  }

  /** The same with the reason. */
  explain(definition: Definition): Decision {
    const matched = this.meetsCondition(definition);
    const { member, source } = this.#sourceOf(definition, matched);
    this.#note(definition, member);
    return { member, source, matched };
  }

  #note({ id }: Definition, member: boolean): void {
    if (this.#definitions.named.size > 0 && this.#definitions.named.has(id)) this.#decided.set(id, member);
  }

  #sourceOf(definition: Definition, matched: boolean | null): Omit<Decision, 'matched'> {
    if (!this.isActive(definition)) return { member: false, source: 'none' };
    const mode = this.#subject.overrides.get(definition.id);
    if (mode) return { member: mode === 'include', source: mode };
    const member = !isList(definition) && matched !== false && this.isInShare(definition);
    return { member, source: member ? ruleSource(definition) : 'none' };
  }

  /** Null for a definition without a condition. */
  meetsCondition({ evaluate }: Definition): boolean | null {
    return evaluate?.(this.#subject.attributes, this.#evaluation) ?? null;
  }

  isInShare(definition: Definition): boolean {
    const { share } = definition;
    if (share === null) return true;
    const ofBucket = this.#bucketOf(definition);
    if (ofBucket === null) return false;
    this.#evaluation.changesAt(changesMindAt(share, ofBucket));
    return takesBucket(share, ofBucket, this.#evaluation.now);
  }

  /** For those who go on to ask about every segment, step by step: others may be decided about meanwhile, hence the copy. */
  computeBuckets(): void {
    this.#words = this.#definitions.shares?.words.of(this.#subject.key)?.slice();
  }

  /**
   * Decides about the shares that the key decides alone, in a loop of their own, since a user is asked for all of them. Returns
   * the rules that are left, which may name these.
   */
  decideShares(memberships: Membership[]): readonly Rule[] {
    const { shares, rules } = this.#definitions;
    const words = shares?.words.of(this.#subject.key);
    if (!shares || !words) return rules;
    for (const { rule, place, from, to } of shares.fixed) {
      const { definition, membership, isNamed } = rule;
      const word = words[place] ?? Number.NaN;
      const isTaken = word >= from && word < to;
      if (!isTaken && !isNamed) continue;
      const mode = this.#overrideOf(definition);
      if (mode === undefined && isTaken) memberships.push(membership);
      if (isNamed) this.#decided.set(definition.id, mode === undefined ? isTaken : mode === 'include');
    }
    // Where some are asked for later, another user may be decided about before that.
    if (shares.fixed.length < shares.placeOf.size) this.#words = words.slice();
    return shares.others;
  }

  #bucketOf(definition: Definition): number | null {
    const place = this.#words && this.#definitions.shares?.placeOf.get(definition.id);
    const word = place === undefined ? undefined : this.#words?.[place];
    return word === undefined ? bucketOf(definition, this.#subject) : bucketOfWord(word);
  }

  get #textsOfUser(): Texts {
    this.#texts ??= textsOf(this.#subject.attributes);
    return this.#texts;
  }

  /** Whether matching all patterns of a condition in one step would make a long one. */
  needsMatchingAhead({ patterns, patternsSize }: Definition): boolean {
    return patterns.length > 0 && this.#textsOfUser.length * patternsSize > maxStepMatching;
  }

  /** Matches the patterns of a condition one a step. */
  *matchAhead({ patterns }: Definition): Steps<void> {
    for (const pattern of patterns) {
      for (const text of this.#textsOfUser.texts) this.#evaluation.matchAhead(pattern, text);
      yield;
    }
  }

  /**
   * Decides about one rule after the other until that makes a step, or until one needs matching ahead, and returns where the
   * next step begins. The first is taken as it is. A loop that could yield takes more time for each rule (ADR 143).
   */
  decideStep(rules: readonly Rule[], from: number, memberships: Membership[]): number {
    let weight = 0;
    for (let at = from; at < rules.length; at++) {
      const rule = rules[at];
      if (!rule) break;
      const { definition } = rule;
      if (weight >= stepWeight || (rule.hasPatterns && at > from && this.needsMatchingAhead(definition))) return at;
      const member = rule.isAlwaysActive && !this.#mayOverrideRules ? this.#meets(rule) : this.#isIn(definition);
      if (member && !this.#isOverridden(definition)) memberships.push(rule.membership);
      if (rule.isNamed) this.#decided.set(definition.id, member);
      weight += rule.evaluate === null ? shareWeight : conditionWeight(definition, this.#textsOfUser.length);
    }
    return rules.length;
  }

  #meets({ definition, evaluate, hasShare }: Rule): boolean {
    if (evaluate !== null && !evaluate(this.#subject.attributes, this.#evaluation)) return false;
    return !hasShare || this.isInShare(definition);
  }
}

/** How much of a step a condition takes. What one does to large attributes is not known: it takes a whole step. */
function conditionWeight({ nodes, patternsSize }: Definition, textLength: number): number {
  if (textLength > maxBriefLength) return stepWeight;
  return patternsSize === 0 ? nodes : nodes + (textLength * patternsSize * stepWeight) / maxStepMatching;
}

/** Patterns whose matching could take more than this, as text times program, are matched one a step. */
const maxStepMatching = 200_000;

/** In nodes of conditions, each of which takes some hundredths of a microsecond; a step costs a look at the clock. */
const stepWeight = 256;
/** A share takes about as long as this many nodes. */
const shareWeight = 4;
/** Characters and values of attributes that no node takes long for. */
const maxBriefLength = 2_000;

/** The texts in the attributes of a user, at whatever depth. */
interface Texts {
  readonly texts: readonly string[];
  /** Of all texts together, with one for each value. */
  readonly length: number;
}

function textsOf(attributes: JsonObject): Texts {
  const texts: string[] = [];
  let length = 0;
  const stack: Json[] = [attributes];
  for (let value = stack.pop(); value !== undefined; value = stack.pop()) {
    length += 1;
    if (typeof value === 'string') {
      texts.push(value);
      length += value.length;
    } else if (isArray(value)) {
      for (const entry of value) stack.push(entry);
    } else if (isObject(value)) {
      for (const entry of Object.values(value)) stack.push(entry);
    }
  }
  return { texts, length };
}
