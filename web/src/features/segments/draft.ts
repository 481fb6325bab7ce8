import type { Rule, Segment, SegmentBody } from '../../api/types.ts';
import type { Key } from '../../i18n/language.ts';
import { isSame } from '../conditions/same.ts';
import { type Group, isObject, isTreeComplete, readTree, writeTree } from '../conditions/tree.ts';

export type Share = 'everyone' | 'percentage' | 'ramp' | 'layer';

/** A rule being edited: the typed texts, even if they are not valid numbers or times yet. */
export interface RuleDraft {
  readonly isRule: boolean;
  readonly share: Share;
  readonly percentage: string;
  readonly from: string;
  readonly to: string;
  readonly startsAt: string;
  readonly endsAt: string;
  readonly layer: string;
  readonly bucketBy: string;
  readonly activeFrom: string;
  readonly activeUntil: string;
  readonly tree: Group;
}

/** An instant in the form of `datetime-local`, in the time zone of the reader. */
export function localOf(time: string | null | undefined): string {
  if (!time) return '';
  const date = new Date(time);
  const shifted = new Date(date.getTime() - date.getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, 16);
}

/** The instant of a `datetime-local`; undefined if it is not valid. */
export function instantOf(local: string): string | undefined {
  const date = new Date(local);
  return local === '' || Number.isNaN(date.getTime()) ? undefined : date.toISOString();
}

const shareOf = ({ ramp, layer, percentage }: Rule): Share => {
  if (layer) return 'layer';
  if (ramp) return 'ramp';
  return percentage === null || percentage === undefined ? 'everyone' : 'percentage';
};

export function draftOf(rule: Rule, isNew = false): RuleDraft {
  const { ramp, layer, percentage, condition } = rule;
  const share = shareOf(rule);
  return {
    isRule: isNew || share !== 'everyone' || (condition !== null && condition !== undefined),
    share,
    percentage: String(percentage ?? 100),
    from: String(layer?.from ?? ramp?.from ?? 0),
    to: String(layer?.to ?? ramp?.to ?? 100),
    startsAt: localOf(ramp?.starts_at),
    endsAt: localOf(ramp?.ends_at),
    layer: layer?.slug ?? '',
    bucketBy: rule.bucket_by ?? '',
    activeFrom: localOf(rule.active_from),
    activeUntil: localOf(rule.active_until),
    tree: readTree(isObject(condition) ? condition : null),
  };
}

export type DraftField = keyof RuleDraft;
export type DraftErrors = Partial<Record<DraftField, Key>>;

const shareText = /^\d{1,3}([.,]\d{1,3})?$/;

function shareNumber(text: string): number | undefined {
  const value = Number(text.trim().replace(',', '.'));
  return shareText.test(text.trim()) && value <= 100 ? value : undefined;
}

/** The errors of a draft, by field. */
export function errorsOf(draft: RuleDraft): DraftErrors {
  const errors: DraftErrors = {};
  if (!draft.isRule) return errors;
  const { share } = draft;
  if (share === 'percentage' && shareNumber(draft.percentage) === undefined) errors.percentage = 'error.share';
  if (share === 'ramp' || share === 'layer') {
    if (shareNumber(draft.from) === undefined) errors.from = 'error.share';
    if (shareNumber(draft.to) === undefined) errors.to = 'error.share';
  }
  if (share === 'ramp') {
    if (instantOf(draft.startsAt) === undefined) errors.startsAt = 'error.time';
    if (instantOf(draft.endsAt) === undefined) errors.endsAt = 'error.time';
    else if (draft.endsAt <= draft.startsAt) errors.endsAt = 'error.order';
  }
  if (share === 'layer') {
    if (draft.layer === '') errors.layer = 'error.required';
    if (Number(draft.from) >= Number(draft.to)) errors.to = 'error.range';
  }
  if (draft.activeFrom !== '' && draft.activeUntil !== '' && draft.activeUntil <= draft.activeFrom) {
    errors.activeUntil = 'error.order';
  }
  if (!isTreeComplete(draft.tree)) errors.tree = 'error.incomplete';
  return errors;
}

/** The time of a field. The field drops seconds, so the earlier time is kept if it is in the same minute. */
function timeOf(local: string, before: string | null | undefined): string | null {
  if (before && localOf(before) === local) return before;
  return instantOf(local) ?? null;
}

/** The rule of a draft without errors. It has every field, so that unset ones are cleared. */
export function ruleOf(draft: RuleDraft, before: Rule = {}): Required<Rule> {
  const times = {
    active_from: timeOf(draft.activeFrom, before.active_from),
    active_until: timeOf(draft.activeUntil, before.active_until),
  };
  const none = { percentage: null, ramp: null, layer: null, bucket_by: null };
  if (!draft.isRule) return { ...none, ...times, condition: null };
  const condition = writeTree(draft.tree);
  const bucket_by = draft.share === 'everyone' || draft.bucketBy.trim() === '' ? null : draft.bucketBy.trim();
  const [from, to] = [shareNumber(draft.from) ?? 0, shareNumber(draft.to) ?? 0];
  switch (draft.share) {
    case 'everyone':
      // An empty condition holds for everyone; without a condition the segment would be a list.
      return { ...none, ...times, condition: condition ?? {} };
    case 'percentage':
      return { ...none, ...times, bucket_by, condition, percentage: shareNumber(draft.percentage) ?? 0 };
    case 'ramp': {
      const starts_at = timeOf(draft.startsAt, before.ramp?.starts_at) ?? '';
      const ends_at = timeOf(draft.endsAt, before.ramp?.ends_at) ?? '';
      return { ...none, ...times, bucket_by, condition, ramp: { from, to, starts_at, ends_at } };
    }
    case 'layer':
      return { ...none, ...times, bucket_by, condition, layer: { slug: draft.layer, from, to } };
  }
}

/** Only the fields that differ, so that a change of one never writes another, and an older service gets no fields that it lacks. */
export function changesOf(body: SegmentBody, before: Partial<Segment>): SegmentBody {
  const entries = Object.entries(body).filter(([name, value]) => !isSame(value, Reflect.get(before, name)));
  return Object.fromEntries(entries);
}
