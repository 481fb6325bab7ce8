import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { api } from '../../api/api.ts';
import { useSpeech } from '../../i18n/language.ts';
import { Button } from '../../ui/button.tsx';
import { classes } from '../../ui/classes.ts';
import { Choices, TextField } from '../../ui/field.tsx';
import { Card, layout, Notice } from '../../ui/layout.tsx';
import { Combo, Select } from '../../ui/select.tsx';
import { ConditionEditor } from '../conditions/editor.tsx';
import { JsonView } from '../conditions/json-view.tsx';
import { LayerBar } from '../layers/layer-bar.tsx';
import type { DraftErrors, RuleDraft } from './draft.ts';

interface RuleFormProps {
  readonly draft: RuleDraft;
  readonly onChange: (draft: RuleDraft) => void;
  readonly errors: DraftErrors;
  /** The edited segment, whose own range does not count as an overlap. */
  readonly slug?: string;
}

function useField({ draft, onChange, errors }: RuleFormProps) {
  const { plain } = useSpeech();
  return (name: Exclude<keyof RuleDraft, 'tree' | 'isRule' | 'share'>) => {
    const error = errors[name];
    return {
      value: draft[name],
      onChange: (value: string) => {
        if (value !== draft[name]) onChange({ ...draft, [name]: value });
      },
      error: error && plain(error),
    };
  };
}

function RampFields(props: RuleFormProps) {
  const { text } = useSpeech();
  const field = useField(props);
  return (
    <div className={layout.halves}>
      <TextField label={text('rule.rampFrom')} inputMode="decimal" {...field('from')} />
      <TextField label={text('rule.rampStart')} type="datetime-local" {...field('startsAt')} />
      <TextField label={text('rule.rampTo')} inputMode="decimal" {...field('to')} />
      <TextField label={text('rule.rampEnd')} type="datetime-local" {...field('endsAt')} />
    </div>
  );
}

function LayerFields(props: RuleFormProps) {
  const { text } = useSpeech();
  const field = useField(props);
  const { draft, slug } = props;
  const { data } = useQuery({
    queryKey: ['layers'],
    queryFn: ({ signal }) => api.listLayers({ query: { limit: 1000 }, signal }),
    retry: false,
  });
  const layer = data?.layers.find((one) => one.slug === draft.layer);
  const others = layer?.segments.filter((range) => range.slug !== slug) ?? [];
  const [from, to] = [Number(draft.from), Number(draft.to)];
  return (
    <>
      <div className={layout.halves}>
        <Combo
          label={text('rule.layer')}
          {...field('layer')}
          items={(data?.layers ?? []).map((one) => ({ id: one.slug, text: one.slug }))}
        />
        <div className={layout.halves}>
          <TextField label={text('rule.layerFrom')} inputMode="decimal" {...field('from')} />
          <TextField label={text('rule.layerTo')} inputMode="decimal" {...field('to')} />
        </div>
      </div>
      {layer && (
        <LayerBar
          ranges={[...others, ...(from < to ? [{ slug: slug ?? text('rule.thisOne'), from, to, isNew: true }] : [])]}
        />
      )}
    </>
  );
}

function ShareFields(props: RuleFormProps) {
  const { text } = useSpeech();
  const field = useField(props);
  const { draft, onChange } = props;
  return (
    <>
      <div className={layout.halves}>
        <Select
          label={text('rule.share')}
          value={draft.share}
          onChange={(share) => onChange({ ...draft, share })}
          items={[
            { id: 'everyone', text: text('rule.everyone') },
            { id: 'percentage', text: text('rule.percentage') },
            { id: 'ramp', text: text('rule.ramp') },
            { id: 'layer', text: text('rule.inLayer') },
          ]}
        />
        {draft.share === 'percentage' && (
          <TextField
            label={text('rule.percent')}
            inputMode="decimal"
            hint={text('rule.percentHint')}
            {...field('percentage')}
          />
        )}
      </div>
      {draft.share === 'ramp' && <RampFields {...props} />}
      {draft.share === 'layer' && <LayerFields {...props} />}
      {draft.share !== 'everyone' && (
        <div className={layout.narrow}>
          <TextField label={text('rule.bucketBy')} hint={text('rule.bucketByHint')} isMono {...field('bucketBy')} />
        </div>
      )}
    </>
  );
}

/** The members: by hand, or by a rule of share and condition, with start and end. */
export function RuleForm(props: RuleFormProps) {
  const { text, plain } = useSpeech();
  const { draft, onChange, errors } = props;
  const field = useField(props);
  const [hasJson, setHasJson] = useState(false);
  const [hasTimes, setHasTimes] = useState(draft.activeFrom !== '' || draft.activeUntil !== '');
  return (
    <>
      <Card title={text('rule.who')}>
        <Choices
          label={text('rule.kind')}
          isLabelHidden
          value={draft.isRule ? 'rule' : 'list'}
          onChange={(kind) => onChange({ ...draft, isRule: kind === 'rule' })}
          items={[
            { id: 'rule', text: text('rule.byRule') },
            { id: 'list', text: text('rule.byHand') },
          ]}
        />
        <p className={layout.soft}>{text(draft.isRule ? 'rule.byRuleHint' : 'rule.byHandHint')}</p>
        {draft.isRule && <ShareFields {...props} />}
      </Card>
      {draft.isRule && (
        <Card
          title={text('rule.condition')}
          actions={
            <Button isSmall look="quiet" aria-pressed={hasJson} onPress={() => setHasJson(!hasJson)}>
              {text(hasJson ? 'rule.hideJson' : 'rule.showJson')}
            </Button>
          }
        >
          {draft.tree.of.length === 0 && <p className={layout.soft}>{text('rule.noCondition')}</p>}
          <ConditionEditor tree={draft.tree} onChange={(tree) => onChange({ ...draft, tree })} />
          {errors.tree && <p className={classes(layout.soft, layout.small)}>{plain(errors.tree)}</p>}
          {hasJson && <JsonView tree={draft.tree} onChange={(tree) => onChange({ ...draft, tree })} />}
        </Card>
      )}
      <Card
        title={text('rule.times')}
        actions={
          !hasTimes && (
            <Button isSmall onPress={() => setHasTimes(true)}>
              {text('rule.setTimes')}
            </Button>
          )
        }
      >
        {hasTimes ? (
          <div className={layout.halves}>
            <TextField label={text('rule.activeFrom')} type="datetime-local" {...field('activeFrom')} />
            <TextField label={text('rule.activeUntil')} type="datetime-local" {...field('activeUntil')} />
          </div>
        ) : (
          <p className={layout.soft}>{text('rule.always')}</p>
        )}
        {hasTimes && <Notice>{text('rule.zone', { zone: Intl.DateTimeFormat().resolvedOptions().timeZone })}</Notice>}
      </Card>
    </>
  );
}
