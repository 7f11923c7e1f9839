// Package v20170312 has the shapes that flannel's backend for one cloud is written against; every call fails.
package v20170312

import "errors"

var absent = errors.New("built without this cloud's SDK")

// Client of nothing.
type Client struct{}

// Filter of a query.
type Filter struct {
	Name   *string
	Values []*string
}

// Route of a table.
type Route struct {
	DestinationCidrBlock, GatewayType, GatewayId, RouteType *string
	RouteId                                                 *uint64
	Enabled                                                 *bool
}

// RouteTable of a network.
type RouteTable struct {
	RouteTableId *string
	RouteSet     []*Route
}

// Tables that a query found.
type Tables struct{ RouteTableSet []*RouteTable }

// DescribeRouteTablesRequest is a query.
type DescribeRouteTablesRequest struct{ Filters []*Filter }

// DescribeRouteTablesResponse is its answer.
type DescribeRouteTablesResponse struct{ Response *Tables }

// CreateRoutesRequest adds routes.
type CreateRoutesRequest struct {
	RouteTableId *string
	Routes       []*Route
}

// DeleteRoutesRequest removes them.
type DeleteRoutesRequest struct {
	RouteTableId *string
	Routes       []*Route
}

// NewClientWithSecretId makes a client of nothing.
func NewClientWithSecretId(_, _, _ string) (*Client, error) { return &Client{}, absent }

// NewDescribeRouteTablesRequest makes a query.
func NewDescribeRouteTablesRequest() *DescribeRouteTablesRequest { return &DescribeRouteTablesRequest{} }

// NewCreateRoutesRequest makes a request.
func NewCreateRoutesRequest() *CreateRoutesRequest { return &CreateRoutesRequest{} }

// NewDeleteRoutesRequest makes a request.
func NewDeleteRoutesRequest() *DeleteRoutesRequest { return &DeleteRoutesRequest{} }

// DescribeRouteTables fails.
func (*Client) DescribeRouteTables(*DescribeRouteTablesRequest) (*DescribeRouteTablesResponse, error) {
	return nil, absent
}

// CreateRoutes fails.
func (*Client) CreateRoutes(*CreateRoutesRequest) (*struct{}, error) { return nil, absent }

// DeleteRoutes fails.
func (*Client) DeleteRoutes(*DeleteRoutesRequest) (*struct{}, error) { return nil, absent }
