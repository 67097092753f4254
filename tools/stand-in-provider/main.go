// A provider that knows one schema and nothing else: it lets OpenTofu check a configuration, and play it with mocks, where the provider
// itself cannot be had. The schema lies beside the program as schema.json, in the format of `tofu providers schema -json`.
//
// It never reads, plans or changes anything in any cloud. Whoever asks for that gets an error.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

type document struct {
	ProviderSchemas map[string]providerSchema `json:"provider_schemas"`
}

type providerSchema struct {
	Provider          schema            `json:"provider"`
	ResourceSchemas   map[string]schema `json:"resource_schemas"`
	DataSourceSchemas map[string]schema `json:"data_source_schemas"`
}

type schema struct {
	Version int64 `json:"version"`
	Block   block `json:"block"`
}

type block struct {
	Attributes map[string]attribute `json:"attributes"`
	BlockTypes map[string]blockType `json:"block_types"`
}

type attribute struct {
	Type      json.RawMessage `json:"type"`
	Required  bool            `json:"required"`
	Optional  bool            `json:"optional"`
	Computed  bool            `json:"computed"`
	Sensitive bool            `json:"sensitive"`
	WriteOnly bool            `json:"write_only"`
}

type blockType struct {
	NestingMode string `json:"nesting_mode"`
	Block       block  `json:"block"`
	MinItems    int64  `json:"min_items"`
	MaxItems    int64  `json:"max_items"`
}

var nestings = map[string]tfprotov6.SchemaNestedBlockNestingMode{
	"single": tfprotov6.SchemaNestedBlockNestingModeSingle,
	"list":   tfprotov6.SchemaNestedBlockNestingModeList,
	"set":    tfprotov6.SchemaNestedBlockNestingModeSet,
	"map":    tfprotov6.SchemaNestedBlockNestingModeMap,
}

func names[T any](of map[string]T) []string {
	sorted := make([]string, 0, len(of))
	for name := range of {
		sorted = append(sorted, name)
	}
	sort.Strings(sorted)
	return sorted
}

func (b block) typed() (*tfprotov6.SchemaBlock, error) {
	typed := &tfprotov6.SchemaBlock{}
	for _, name := range names(b.Attributes) {
		given := b.Attributes[name]
		of, err := tftypes.ParseJSONType(given.Type) //nolint:staticcheck // the one reader of this format that there is
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		typed.Attributes = append(typed.Attributes, &tfprotov6.SchemaAttribute{
			Name: name, Type: of, Required: given.Required, Optional: given.Optional, Computed: given.Computed,
			Sensitive: given.Sensitive, WriteOnly: given.WriteOnly,
		})
	}
	for _, name := range names(b.BlockTypes) {
		given := b.BlockTypes[name]
		nesting, known := nestings[given.NestingMode]
		if !known {
			return nil, fmt.Errorf("%s: nesting mode %q", name, given.NestingMode)
		}
		inner, err := given.Block.typed()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		typed.BlockTypes = append(typed.BlockTypes, &tfprotov6.SchemaNestedBlock{
			TypeName: name, Block: inner, Nesting: nesting, MinItems: given.MinItems, MaxItems: given.MaxItems,
		})
	}
	return typed, nil
}

func typedAll(given map[string]schema) (map[string]*tfprotov6.Schema, error) {
	typed := map[string]*tfprotov6.Schema{}
	for _, name := range names(given) {
		inner, err := given[name].Block.typed()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		typed[name] = &tfprotov6.Schema{Version: given[name].Version, Block: inner}
	}
	return typed, nil
}

// provider answers what is asked before anything is planned, and when mocks are played; every other method is the nil interface's, and ends the program.
type provider struct {
	tfprotov6.ProviderServer
	schemas *tfprotov6.GetProviderSchemaResponse
}

func (p provider) GetMetadata(context.Context, *tfprotov6.GetMetadataRequest) (*tfprotov6.GetMetadataResponse, error) {
	return &tfprotov6.GetMetadataResponse{}, nil
}

func (p provider) GetProviderSchema(context.Context, *tfprotov6.GetProviderSchemaRequest) (*tfprotov6.GetProviderSchemaResponse, error) {
	return p.schemas, nil
}

func (p provider) ValidateProviderConfig(_ context.Context, asked *tfprotov6.ValidateProviderConfigRequest) (*tfprotov6.ValidateProviderConfigResponse, error) {
	return &tfprotov6.ValidateProviderConfigResponse{PreparedConfig: asked.Config}, nil
}

func (p provider) ValidateResourceConfig(context.Context, *tfprotov6.ValidateResourceConfigRequest) (*tfprotov6.ValidateResourceConfigResponse, error) {
	return &tfprotov6.ValidateResourceConfigResponse{}, nil
}

func (p provider) ValidateDataResourceConfig(context.Context, *tfprotov6.ValidateDataResourceConfigRequest) (*tfprotov6.ValidateDataResourceConfigResponse, error) {
	return &tfprotov6.ValidateDataResourceConfigResponse{}, nil
}

func (p provider) ConfigureProvider(context.Context, *tfprotov6.ConfigureProviderRequest) (*tfprotov6.ConfigureProviderResponse, error) {
	return &tfprotov6.ConfigureProviderResponse{Diagnostics: []*tfprotov6.Diagnostic{{
		Severity: tfprotov6.DiagnosticSeverityError,
		Summary:  "This is a stand-in that knows a schema and no cloud",
		Detail:   "It checks a configuration and plays it with mocks. To plan or apply, run `tofu init` with the real provider.",
	}}}, nil
}

// UpgradeResourceState gives back what it got: a test's own state, made of mocks by the same schema, comes through here between two runs.
func (p provider) UpgradeResourceState(_ context.Context, asked *tfprotov6.UpgradeResourceStateRequest) (*tfprotov6.UpgradeResourceStateResponse, error) {
	known, found := p.schemas.ResourceSchemas[asked.TypeName]
	if !found {
		return nil, fmt.Errorf("no resource %s in the schema", asked.TypeName)
	}
	value, err := asked.RawState.Unmarshal(known.ValueType())
	if err != nil {
		return nil, err
	}
	state, err := tfprotov6.NewDynamicValue(known.ValueType(), value)
	return &tfprotov6.UpgradeResourceStateResponse{UpgradedState: &state}, err
}

func (p provider) StopProvider(context.Context, *tfprotov6.StopProviderRequest) (*tfprotov6.StopProviderResponse, error) {
	return &tfprotov6.StopProviderResponse{}, nil
}

func load() (string, *tfprotov6.GetProviderSchemaResponse, error) {
	program, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(program), "schema.json"))
	if err != nil {
		return "", nil, err
	}
	var all document
	if err := json.Unmarshal(text, &all); err != nil {
		return "", nil, err
	}
	if len(all.ProviderSchemas) != 1 {
		return "", nil, fmt.Errorf("schema.json has %d providers, not one", len(all.ProviderSchemas))
	}
	address := names(all.ProviderSchemas)[0]
	given := all.ProviderSchemas[address]
	answer := &tfprotov6.GetProviderSchemaResponse{}
	own, err := given.Provider.Block.typed()
	if err != nil {
		return "", nil, err
	}
	answer.Provider = &tfprotov6.Schema{Block: own}
	if answer.ResourceSchemas, err = typedAll(given.ResourceSchemas); err != nil {
		return "", nil, err
	}
	if answer.DataSourceSchemas, err = typedAll(given.DataSourceSchemas); err != nil {
		return "", nil, err
	}
	return address, answer, nil
}

func main() {
	address, schemas, err := load()
	if err == nil {
		err = tf6server.Serve(address, func() tfprotov6.ProviderServer { return provider{schemas: schemas} })
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "stand-in-provider:", err)
		os.Exit(1)
	}
}
